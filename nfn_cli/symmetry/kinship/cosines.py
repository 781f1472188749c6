"""Cosines of rows with rows."""

from __future__ import annotations

import torch
from torch import Tensor


def cosines(one: Tensor, other: Tensor, *, signed: bool = False) -> Tensor:
    """The cosine of each row with each other row, [rows of one, rows of the other]; 0 for a row of zeros.

    Args:
        signed: rows may stand with either sign: the sizes of the cosines.
    """
    found = _unit(one) @ _unit(other).T
    return found.abs() if signed else found


def _unit(rows: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)
