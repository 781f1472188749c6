"""Split-conformal intervals (Vovk et al. 2005; Lei et al. 2018).

With residuals of n calibration networks, the half-width is the ⌈(n + 1)·level⌉-th smallest absolute residual. A fresh
network exchangeable with them lies within it with probability at least `level`. Here runs are exchangeable, the few
checkpoints of one run are not independent, so the coverage is measured on test runs as well.
"""

from __future__ import annotations

import math

from torch import Tensor


def interval_radius(truth: Tensor, predicted: Tensor, level: float) -> float:
    """Half-width of the interval, from calibration networks [n]; 1 (everything) where n is too small for the level."""
    residuals = (truth - predicted).abs().sort().values
    # In floating point, 100 × 0.55 is a little more than 55; its ceiling shall not be 56.
    rank = math.ceil((len(residuals) + 1) * level - 1e-9)
    return float(residuals[rank - 1]) if rank <= len(residuals) else 1.0
