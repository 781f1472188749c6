"""What signatures are made of, and the fixed numbers that weigh it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Norms:
    """Numbers that are constant along an orbit; see `Signature`."""

    values: tuple[float, ...]
    size: float
    tails: float


def spread(rows: int, columns: int, shift: int = 0) -> Tensor:
    """Fixed numbers between ½ and 3/2, float64 [rows, columns], that look like no pattern of weights.

    Multiples of the golden ratio modulo 1, of which no two columns are alike.

    >>> spread(2, 2).tolist()
    [[1.118..., 0.736...], [0.736..., 0.972...]]
    """
    row = torch.arange(1 + shift, rows + 1 + shift, dtype=torch.float64)[:, None]
    column = torch.arange(1, columns + 1, dtype=torch.float64)
    return 0.5 + (row * column * _GOLDEN) % 1.0
