"""Matrices of two files, side by side."""

from __future__ import annotations

import re
from pathlib import Path

from files import read
from torch import Tensor

_LAYER = re.compile(r"(?:\.h|\.layers)\.(\d+)\.")


def weights(path: Path) -> dict[str, Tensor]:
    """A file's tensors of floating point, in float64, but for running statistics."""
    return {
        name: value.double()
        for name, value in read(path).items()
        if value.is_floating_point() and ".running_" not in name
    }


def paired(a: Path, b: Path) -> list[tuple[Tensor, Tensor]]:
    """Matrices and kernels of equal name and shape, as [rows, columns]."""
    one, other = weights(a), weights(b)
    return [
        (value.flatten(1), other[name].flatten(1))
        for name, value in one.items()
        if value.dim() > 1 and name in other and other[name].shape == value.shape
    ]


def depth(tensors: dict[str, Tensor]) -> int:
    """Numbered layers of a language model; 0 for other networks."""
    found = [int(match[1]) for name in tensors if (match := _LAYER.search(name))]
    return 1 + max(found) if found else 0
