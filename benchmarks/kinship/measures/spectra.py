"""Spectra: the correlation of the logarithms of singular values."""

from __future__ import annotations

from pathlib import Path

import torch

from measures.matrices import paired
from measures.measured import Measure, Measured

_LEAST = 1e-6  # of the largest singular value of a matrix; smaller ones are rounding


def measure(a: Path, b: Path) -> Measured:
    """Over all matrices and kernels [outputs, rest] of equal name and shape."""
    sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for pair in paired(a, b):
        for side, matrix in zip(sides, pair, strict=True):
            values = torch.linalg.svdvals(matrix)
            side.append(values.clamp_min(_LEAST * values[0].clamp_min(1e-30)).log())
    if not sides[0]:
        return Measured(None)
    return Measured(torch.corrcoef(torch.stack([torch.cat(side) for side in sides]))[0, 1].item())


MEASURE = Measure("spectra", measure)
