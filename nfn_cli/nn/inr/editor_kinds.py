"""The kinds of heads that edit implicit neural representations, by the name in `config.yaml`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from nfn_cli.architectures import Architecture
from nfn_cli.nn.inr.function_editor import FunctionEditor, FunctionEditorSizes
from nfn_cli.nn.inr.weight_editor import WeightEditor
from nfn_cli.nn.sine import MonomialEditorSizes


@dataclass(frozen=True)
class EditorKind:
    """A kind of head.

    Attributes:
        title: for people, with its source.
        sizes: the class of its sizes.
        make: the module from an architecture that the head reads, height and width of the pictures, and sizes. It has
            `read`, from a point in weight space to tensors, and maps these to changes of the weights.
        rank: of two heads that make the same edit, the one of the lower rank is taken.
        draws: whether it goes by the picture that a network shows, not by its weights alone.
    """

    title: str
    sizes: type[Any]
    make: Callable[[Architecture, tuple[int, int], Any], nn.Module]
    rank: int
    draws: bool = False


EDITOR_KINDS = {
    "function-editor": EditorKind(
        "Function-Editor (a convolutional network on the picture, and Levenberg–Marquardt steps of the weights)",
        FunctionEditorSizes,
        FunctionEditor,
        rank=0,
        draws=True,
    ),
    "monomial-editor": EditorKind(
        "Monomial-Editor (equivariant layers, arXiv 2409.11697)", MonomialEditorSizes, WeightEditor, rank=1
    ),
}


def editor_kind_of(sizes: Any) -> str:
    """The name of the kind that has sizes of this class."""
    return next(name for name, kind in EDITOR_KINDS.items() if type(sizes) is kind.sizes)
