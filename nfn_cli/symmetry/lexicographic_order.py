"""Sort neurons by their rows, entry by entry, so that rounding does not decide.

>>> rows = torch.tensor([[1.0, 5.0], [1.0 + 1e-16, 2.0], [0.5, 9.0]], dtype=torch.float64)
>>> lexicographic_order(rows, 1e-12)[0].tolist()
[2, 1, 0]
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def lexicographic_order(rows: Tensor, tolerance: float) -> tuple[Tensor, list[Tensor]]:
    """The order of neurons by their rows, smallest first entry first.

    Args:
        rows: float64 [n, entries].
        tolerance: relative difference up to which two entries of a column count as equal.

    Returns:
        The permutation [n], and the places in it, [k] each, of sets of neurons whose rows are equal throughout.
    """
    values, order = rows[:, 0].sort()
    if bool(_steps(values, tolerance).all()):  # mostly the first entries already differ
        return order, []
    ranks = _ranks(rows, tolerance)
    order = torch.from_numpy(np.lexsort(ranks.numpy().T[::-1]))
    ordered = ranks[order]
    differs = (ordered[1:] != ordered[:-1]).any(1)
    if bool(differs.all()):
        return order, []
    sets = torch.arange(len(rows)).tensor_split((differs.nonzero()[:, 0] + 1).tolist())
    return order, [places for places in sets if len(places) > 1]


def _ranks(rows: Tensor, tolerance: float) -> Tensor:
    """The place of every entry among the different values of its column, int64 [n, entries]."""
    values, order = rows.sort(dim=0)
    ranks = torch.zeros_like(order)
    ranks[1:] = _steps(values, tolerance).cumsum(0)
    return torch.empty_like(order).scatter_(0, order, ranks)


def _steps(values: Tensor, tolerance: float) -> Tensor:
    """Which of sorted values [n, ...] are larger than the one before, bool [n - 1, ...]."""
    later, earlier = values[1:], values[:-1]
    return (later - earlier) > tolerance * torch.maximum(later.abs(), earlier.abs())
