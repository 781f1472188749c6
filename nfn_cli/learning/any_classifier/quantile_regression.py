"""Quantile regression with coefficients above 0 (Koenker and Bassett 1978), by an interior-point method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

# The corner of the pinball loss is rounded, by a small part of a typical value, so that it has a curvature.
ROUNDED = 0.1
_FIRST_BARRIER, _LAST_BARRIER, _FALL = 1e-1, 1e-7, 0.05
_STEPS = 30
_HALVINGS = 30
_CLOSE = 1e-4


def quantile_coefficients(features: Tensor, values: Tensor, weights: Tensor, level: float) -> Tensor:
    """Coefficients c, none below 0, for which `features @ c` is the quantile of the values at `level`, float64 [k].

    They minimise the weighted pinball loss. It is convex, and so is the barrier that keeps them above 0: Newton's
    method, while the barrier falls (Boyd and Vandenberghe 2004, section 11.3).

    Args:
        features: at least 0, float64 [n, k].
        values: at least 0 and not all 0, float64 [n].
        weights: what each counts, float64 [n].
        level: between 0 and 1.
    """
    weights = weights / weights.sum()
    typical = weights @ values
    values = values / typical
    coefficients = torch.full((features.shape[1],), 1 / features.shape[1], dtype=torch.float64)

    def loss(at: Tensor, barrier: float) -> Tensor:
        error = values - features @ at
        pinball = level * error + ROUNDED * F.softplus(-error / ROUNDED)
        return weights @ pinball - barrier * at.log().sum()

    barrier = _FIRST_BARRIER
    while barrier >= _LAST_BARRIER:
        for _ in range(_STEPS):
            above = ((features @ coefficients - values) / ROUNDED).sigmoid()
            gradient = features.T @ (weights * (above - level)) - barrier / coefficients
            curvature = weights * above * (1 - above) / ROUNDED
            hessian = features.T @ (curvature[:, None] * features) + torch.diag(barrier / coefficients.square())
            step = -torch.linalg.solve(hessian, gradient)
            slope = float(gradient @ step)
            if slope > -_CLOSE * barrier:
                break
            moved = _moved(coefficients, step, slope, partial(loss, barrier=barrier))
            if moved is None:
                break
            coefficients = moved
        barrier *= _FALL
    return coefficients * typical


def _moved(start: Tensor, step: Tensor, slope: float, loss: Callable[[Tensor], Tensor]) -> Tensor | None:
    """The first of ever shorter steps that stays above 0 and lowers the loss (Armijo's rule); None without one."""
    before, length = loss(start), 1.0
    for _ in range(_HALVINGS):
        at = start + length * step
        if bool((at > 0).all()) and loss(at) <= before + 1e-4 * length * slope:
            return at
        length /= 2
    return None
