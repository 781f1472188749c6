"""Match neurons by linear assignment. It is cheap where every neuron has one best partner."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.errors import UsageError

_WORST = 1e100  # stands for a cost that is not finite; sums of it stay finite


def assign(cost: Tensor, tied: Tensor) -> Tensor:
    """The permutation of least total cost.

    Args:
        cost: float64 [n, n].
        tied: bool [n, n]; pairs that are equal but for rounding, so that any of them will do.

    Returns:
        For each row its column, int64 [n].

    Raises:
        UsageError: not every neuron has a best partner of its own, and SciPy is not installed.
    """
    cost = cost.nan_to_num(_WORST, _WORST, _WORST)
    best = cost.argmin(1)
    if _is_permutation(best) or not len(cost):
        return best
    settled = _among_tied(best, tied)
    if settled is not None:
        return settled
    return least_cost(cost)


def least_cost(cost: Tensor) -> Tensor:
    """A column for each row, no two the same, of least total cost.

    Args:
        cost: finite, [n, m] with n at most m.

    Returns:
        int64 [n].

    Raises:
        UsageError: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        cause = "is needed to match neurons that have no one best partner"
        raise UsageError("SciPy", cause, "pip install 'nfn-cli[match]'") from error
    return torch.from_numpy(linear_sum_assignment(cost.double().numpy())[1])


def _among_tied(best: Tensor, tied: Tensor) -> Tensor | None:
    """A partner for each neuron among those that are equal but for rounding; None if this gives no permutation."""
    counts = tied.sum(1)
    if bool((counts == 0).any()):
        return None
    chosen = best.clone()
    single = counts == 1
    chosen[single] = tied[single].int().argmax(1)
    free = torch.ones(len(best), dtype=torch.bool)
    free[chosen[single]] = False
    for row in (~single).nonzero()[:, 0].tolist():
        left = (tied[row] & free).nonzero()[:, 0]
        if not len(left):
            return None
        chosen[row] = left[0]
        free[left[0]] = False
    return chosen if _is_permutation(chosen) else None


def _is_permutation(order: Tensor) -> bool:
    return bool((torch.bincount(order, minlength=len(order)) == 1).all())
