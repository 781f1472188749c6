"""Beta calibration (Kull, Silva Filho and Flach 2017): make predictions right on average at every height.

Dropout makes a member answer with noise while it is fitted and without it afterwards. The mean of a noisy sigmoid is
drawn towards the middle, so what is fitted that way falls short without the noise, the more the further out: by two
points of accuracy for the best networks of a zoo. A curve, fitted to what each member says of the training networks
that it left out, takes that back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.nn.calibrated_accuracy import curved

# One over the variance of each of the curve's numbers before any network is seen.
_PRIOR = 10.0
_LEAST_DISPERSION = 1e-6


def fitted_curve(logits: Tensor, accuracies: Tensor) -> Tensor:
    """The curve [3] of `nfn_cli.nn.calibrated_accuracy.Calibration`, for logits [n] of networks of accuracies [n].

    A fractional logit (Papke and Wooldridge 1996): minimises the cross entropy, divided by the dispersion, which says
    how much less than coin flips accuracies scatter around the predictions. A normal prior holds the curve to what
    leaves logits as they are, which few networks do not outweigh.

    >>> logits = torch.linspace(-2, 2, 5_000)
    >>> curve = fitted_curve(logits, (1.5 * logits - 0.5).sigmoid())
    >>> bool((curved(curve, logits) - (1.5 * logits - 0.5)).abs().max() < 0.05)
    True
    """
    curve = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    if not len(logits):
        return curve.detach()
    logits, accuracies = logits.detach().double(), accuracies.double()
    dispersion = _dispersion(logits.sigmoid(), accuracies)
    optimizer = torch.optim.LBFGS([curve], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    @torch.enable_grad()  # type: ignore[untyped-decorator]
    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = F.binary_cross_entropy_with_logits(curved(curve, logits), accuracies)
        total = entropy + dispersion * _PRIOR / 2 * curve.square().sum() / len(logits)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return curve.detach()


def _dispersion(predicted: Tensor, accuracies: Tensor) -> float:
    """Mean squared residual, as a share of the variance p(1 - p) of a coin."""
    variance = (predicted * (1 - predicted)).clamp_min(_LEAST_DISPERSION)
    return max(float(((accuracies - predicted).square() / variance).mean()), _LEAST_DISPERSION)
