"""Quantiles of the rows of a matrix."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def row_quantiles(rows: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles [batch, levels] of [batch, entries] with linear interpolation, as torch.quantile gives them, of any
    number of entries.

    >>> row_quantiles(torch.tensor([[3.0, 1.0, 2.0]]), (0.0, 0.25, 1.0)).tolist()
    [[1.0, 1.5, 3.0]]
    """
    places, share = _places(rows.shape[1], levels)
    low, high = _sorted(rows).index_select(1, places.to(rows.device)).unflatten(1, (2, -1)).unbind(1)
    return low.lerp(high, share.to(rows))


def _sorted(rows: Tensor) -> Tensor:
    wants_gradients = rows.requires_grad and torch.is_grad_enabled()
    if rows.device.type != "cpu" or rows.dtype == torch.bfloat16 or wants_gradients:
        return rows.sort(dim=1).values
    # Several times as fast, for it compares many numbers at once; torch also has to say where each one was.
    return torch.from_numpy(np.sort(rows.detach().numpy(), axis=1))


@lru_cache
def _places(count: int, levels: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Of so many ordered entries, the places next below and above each quantile [2 × levels], and its share of the way
    between."""
    with torch.inference_mode(False):  # else no later gradient could pass them
        positions = torch.tensor(levels, dtype=torch.float64) * (count - 1)
        low = positions.floor().long()
        return torch.cat([low, (low + 1).clamp_max(count - 1)]), positions - low
