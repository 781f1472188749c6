"""Whitened rows: what all neurons of a layer share is taken away, and what is each one's own is left.

Networks that learn one task grow like features, so that their weights are alike in a few directions, and those are the
largest ones. In whitened rows every direction counts the same.

>>> import torch
>>> rows = torch.tensor([[2.0, 1.0], [2.0, -1.0]]).double()
>>> white, rank = whitened(rows)
>>> bool((white @ white.T - torch.eye(2)).abs().max() < 0.02), round(rank)
(True, 2)
"""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 0.1  # relative to the root mean square of the singular values: smaller directions count less


def whitened(rows: Tensor) -> tuple[Tensor, float]:
    """The polar factor U Vᵀ of U S Vᵀ, with small singular values s counted as s / √(s² + ridge²).

    Args:
        rows: [n, m].

    Returns:
        Of the same shape, and its rank: the sum of the squares of the new singular values.
    """
    n, m = rows.shape
    gram = rows @ rows.T if n <= m else rows.T @ rows
    if not bool(gram.isfinite().all()) or not bool(gram.any()):
        return torch.zeros_like(rows), 0.0
    squares, vectors = torch.linalg.eigh(gram)
    squares = squares.clamp_min(0)
    level = RIDGE**2 * squares.mean()
    root = vectors * (squares + level).rsqrt() @ vectors.T
    return (root @ rows if n <= m else rows @ root), float((squares / (squares + level)).sum())
