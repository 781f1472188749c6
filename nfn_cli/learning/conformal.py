"""Conformal intervals (Vovk et al. 2005; Lei et al. 2018), made steadier by what each member left out.

With residuals of n calibration networks, the half-width is the ⌈(n + 1)·level⌉-th smallest absolute residual. A fresh
network exchangeable with them lies within it with probability at least `level`. Here runs are exchangeable, the few
checkpoints of one run are not independent, so the coverage is measured on test runs as well.

The guarantee is an average over calibration sets. A set of 90 runs gives an interval whose own coverage scatters by 2.2
points (standard deviation) around 90 %. Training runs are many more, and those that a member was not fitted to
calibrate too, as in the jackknife+ and CV+ (Barber et al. 2021). One member errs more than the ensemble, though, so its
residuals are first multiplied by the ratio of both mean errors on the calibration networks. That takes both to be
distributed alike but for scale, which they nearly are.

Errors differ along the scale: what is no better than chance is the easiest to predict. So residuals are divided by
their quantile among networks of like prediction before the rank is taken (locally weighted, Lei et al. 2018, section
5.2). Of four heads on 2,000 runs each, with 236 calibration runs drawn anew a hundred times, coverage was 89.5 to 90.7
percent on average and scattered by 0.8 to 1.2 points. There is no guarantee for it.

Networks of another population than the head's own, of the same recipe but fewer images or another schedule, are not
exchangeable with its calibration runs, and of which population a user's network is, is not known. How an interval for
several populations follows the prediction comes from all residuals together, each population with the same weight. That
alone would be right on average over populations (pooled distributions of Dunn, Wasserman and Ramdas 2022,
*Distribution-free prediction sets for two-layer hierarchical models*, arXiv 1809.07441), and too narrow for some; so it
is stretched until each of them has its quantile. It then holds for every mixture of them. How it does on each, and on
one left out, is measured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfn_cli.nn.calibrated_accuracy import KNOTS, along

# Fewer residuals do not determine their quantile in each of the five parts.
_FEWEST_TO_VARY = 500
# A part without errors must not give an interval of width 0.
_NARROWEST = 0.1


def interval_radius(residuals: Tensor, level: float, weights: Tensor | None = None) -> float:
    """Half-width of the interval, from absolute residuals [n]; 1 (everything) where n is too small for the level.

    Args:
        weights: what each residual counts [n], on any scale; by default all alike.
    """
    if weights is None:
        rank = _rank(len(residuals), level)
        return float(residuals.sort().values[rank - 1]) if rank <= len(residuals) else 1.0
    order = residuals.argsort(stable=True)
    reached = (weights.double() / weights.double().mean())[order].cumsum(0)
    # The fresh network counts as much as an average one.
    rank = int(torch.searchsorted(reached, (len(residuals) + 1) * level - 1e-9))
    return float(residuals[order[rank]]) if rank < len(residuals) else 1.0


def crossed_residuals(ensemble: Tensor, members: Tensor, left_out: Tensor) -> Tensor:
    """Absolute residuals to take for those of an ensemble [n + m].

    Args:
        ensemble: absolute residuals of the ensemble on calibration networks [n].
        members: those of each member [n, members].
        left_out: absolute residuals of single members on networks that they were not fitted to [m]; may be empty.
    """
    single = members.mean()
    ratio = ensemble.mean() / single if single > 0 else 1.0
    return torch.cat([ensemble, ratio * left_out])


def local_radii(
    predicted: Tensor, residuals: Tensor, level: float, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Half-widths of the interval along the prediction, of absolute residuals [n] of predicted accuracies [n].

    Args:
        weights: as in `interval_radius`.

    Returns:
        Five predicted accuracies, ascending, and the half-widths there, linear in between. From fewer than 500
        residuals, one half-width for all.
    """
    overall = interval_radius(residuals, level, weights)
    if len(residuals) < _FEWEST_TO_VARY:
        return torch.linspace(0, 1, KNOTS, dtype=torch.float64), torch.full((KNOTS,), overall, dtype=torch.float64)
    parts = predicted.argsort(stable=True).tensor_split(KNOTS)
    knots = torch.stack([predicted[part].median() for part in parts])
    spreads = torch.stack([residuals[part].quantile(level) for part in parts]).clamp_min(_NARROWEST * overall)
    if overall == 0:
        return knots, spreads
    return knots, spreads * interval_radius(residuals / along(knots, spreads, predicted), level, weights)


def _rank(count: int, level: float) -> int:
    # In floating point, 100 × 0.55 is a little more than 55; its ceiling must not be 56.
    return math.ceil((count + 1) * level - 1e-9)
