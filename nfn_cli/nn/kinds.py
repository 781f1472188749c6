"""What the file of a kind of head gives: its sizes, and how a member is made. `nfn_cli.nn.names` lists the kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from torch import nn

from nfn_cli.architectures import Architecture
from nfn_cli.nn.names import HEAD_KINDS


@dataclass(frozen=True)
class Kind:
    """A kind of head, as its file defines it in `KIND`.

    Attributes:
        sizes: the class of its sizes, a frozen dataclass of the same file; each size has a usual value.
        make: a member (see `nfn_cli.nn.ensemble.Member`), or the module of an editor, from an architecture that the
            head reads, the sizes, and the details of the head's task, such as `AccuracyDetails`.
    """

    sizes: type[Any]
    make: Callable[[Architecture, Any, Any], nn.Module]


def load_kind(name: str) -> Kind:
    """The kind of head of that name in `HEAD_KINDS`."""
    kind: Kind = import_module(HEAD_KINDS[name].module).KIND
    return kind


def kind_of(sizes: Any) -> str:
    """The name of the kind whose file has sizes of this class.

    >>> from nfn_cli.nn import MonomialNFNSizes
    >>> kind_of(MonomialNFNSizes())
    'monomial-nfn'
    """
    return next(name for name, kind in HEAD_KINDS.items() if kind.module == type(sizes).__module__)


def sizes_of(kind: str, **chosen: Any) -> Any:
    """Sizes of a kind, those chosen that it has and are not None, the others as usual.

    >>> sizes = sizes_of("monomial-inr", channels=8, side=None, mirror=True)
    >>> sizes.channels, sizes.hidden
    (8, 256)
    """
    sizes = load_kind(kind).sizes
    own = {field.name for field in fields(sizes)}
    return sizes(**{name: size for name, size in chosen.items() if name in own and size is not None})
