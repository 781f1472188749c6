"""What the file of a kind of head gives: its sizes, and how a member is made. `nfn_cli.nn.names` lists the kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
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
        fresh: sizes that a new head takes where nothing is said. They may differ from the defaults of `sizes`, which
            are what a head has whose configuration is older than a size and does not name it.
    """

    sizes: type[Any]
    make: Callable[[Architecture, Any, Any], nn.Module]
    fresh: Mapping[str, Any] = field(default_factory=dict)


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
    """Sizes of a new head of a kind, those chosen that it has and are not None, the others as usual.

    >>> sizes_of("monomial-inr", channels=8, side=None, mirror=True)
    MonomialInrSizes(channels=8, equivariant_layers=2, messages=False, hidden=256, dropout=0.1, sines=False, heads=1,
    augment=False)
    """
    own = load_kind(kind)
    names = {size.name for size in fields(own.sizes)}
    said = {name: size for name, size in chosen.items() if name in names and size is not None}
    return own.sizes(**{**own.fresh, **said})
