"""Edits of pictures that heads are fitted to make, by name: one file of this folder each.

A file `soften.py` adds the edit `soften`. It holds a function `edited`, from pictures [pictures, channels, height,
width] in [-1, 1] to the edited ones, and `DESCRIPTION`, which goes on from "It ...". It may hold `CONTEXT`, over how
many coarse cells along each side a head should see means, as in `nfn_cli.nn.inr.painter.Painter`. It imports torch
within functions alone, since the command line offers the names.

>>> EDITS["dilate"].description
'makes light strokes thicker (the largest value among a pixel and its eight neighbours)'
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Edit:
    """An edit.

    Attributes:
        description: what it does to the picture, such as `makes light strokes thicker`.
        context: see `Painter`; 0 where neighbouring pixels are enough.
        module: where its function is.
    """

    description: str
    context: int
    module: str

    def __call__(self, pictures: Tensor) -> Tensor:
        """What it makes of pictures [pictures, channels, height, width]; values are cut to [-1, 1] first.

        Raises:
            DataError: pictures that it is not made for, such as coloured ones.
        """
        found: Tensor = import_module(self.module).edited(pictures.clamp(-1, 1))
        return found


def _edits() -> dict[str, Edit]:
    names = sorted(found.name for found in iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {
        name.replace("_", "-"): Edit(own.DESCRIPTION, getattr(own, "CONTEXT", 0), own.__name__)
        for name, own in modules.items()
    }


EDITS = _edits()
