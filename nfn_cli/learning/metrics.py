"""How well predictions agree with the truth: Kendall's τ, R² and mean absolute error, with bootstrap intervals by run.

>>> truth = torch.tensor([0.1, 0.2, 0.3, 0.4])
>>> kendall_tau(truth, torch.tensor([1.0, 3.0, 2.0, 4.0])).item()
0.6666666666666666
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# How many pairs of networks are compared at once.
_MOST_PAIRS = 1 << 23
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def kendall_tau(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Kendall's τ-b, which corrects for ties (Kendall 1945).

    Args:
        truth, predicted: [n], any real dtype.
        weights: multiplicities, whole numbers [..., n]; a network that a bootstrap draws twice forms no pair with
            itself.

    Returns:
        τ, float64, of shape [...] (a scalar without weights); NaN where all truths or all predictions are equal.

    Time is O(n²), in blocks of pairs that bound the memory.
    """
    count = len(truth)
    weights = torch.ones(count) if weights is None else weights
    exact = weights.float()  # sums of whole numbers below 2²⁴ are exact
    values = (truth.double(), predicted.double())
    both = first = second = torch.zeros(weights.shape[:-1], dtype=torch.float64)
    for block in torch.arange(count).split(max(1, _MOST_PAIRS // count)):
        signs = [torch.sign(own[:, None] - own[block]).float() for own in values]  # [n, block]

        def pairs(matrix: Tensor, block: Tensor = block) -> Tensor:
            return ((exact @ matrix).double() * weights[..., block]).sum(-1)

        both = both + pairs(signs[0] * signs[1])
        first = first + pairs(signs[0].abs())
        second = second + pairs(signs[1].abs())
    return both / (first * second).sqrt()


def r_squared(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; NaN where all truths are equal.

    Shapes as in `kendall_tau`.
    """
    weights = (torch.ones(len(truth)) if weights is None else weights).double()
    truth, predicted = truth.double(), predicted.double()
    centred = truth - truth.mean()
    squares = weights @ centred.square()
    total = squares - (weights @ centred).square() / weights.sum(-1)
    # A draw of equal truths leaves a rounding error, not zero, and would give an R² of −10¹⁵.
    total = torch.where(total > _ROUNDING * squares, total, torch.nan)
    return 1 - (weights @ (truth - predicted).square()) / total


def mean_absolute_error(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Σ|y − ŷ| / n; shapes as in `kendall_tau`."""
    weights = (torch.ones(len(truth)) if weights is None else weights).double()
    return (weights @ (truth.double() - predicted.double()).abs()) / weights.sum(-1)


def share(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
    """The share of networks for which `predicted` is true; `truth` is not looked at. Shapes as in `kendall_tau`."""
    weights = (torch.ones(len(truth)) if weights is None else weights).double()
    return (weights @ predicted.double()) / weights.sum(-1)


def label_ceiling(even: Tensor, odd: Tensor, runs: Sequence[str]) -> Estimate:
    """How well labels agree with themselves: Kendall's τ between accuracies on two halves of the test images.

    Networks that differ by less than the noise of their labels are in an order that no one can predict. This is the τ
    of a prediction as good as a second measurement on half the images, against labels from the other half. It is a
    rough ceiling, and a low one: labels from all images are less noisy, and who knew the true accuracies would reach
    more. A prediction far below it can improve. One near it cannot be told from a measurement.

    Args:
        even, odd: accuracies on one half and on the other [n].
        runs: the training run of each, for the bootstrap.
    """
    return bootstrap(kendall_tau, even, odd, runs)


def bootstrap(
    metric: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    truth: Tensor,
    predicted: Tensor,
    runs: Sequence[str],
    *,
    samples: int = 1_000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A metric with its percentile bootstrap interval, resampling whole training runs with replacement.

    Checkpoints of one run are not independent; drawing them one by one would make the interval too narrow.
    """
    names = sorted(set(runs))
    number = {name: position for position, name in enumerate(names)}
    owner = torch.tensor([number[run] for run in runs])
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(names), (samples, len(names)), generator=generator)
    multiplicity = torch.zeros(samples, len(names)).scatter_add_(1, drawn, torch.ones(drawn.shape))
    values = metric(truth, predicted, multiplicity[:, owner])
    values = values[values.isfinite()]
    tail = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.quantile(values, tail).tolist() if len(values) else (float("nan"),) * 2
    return Estimate(metric(truth, predicted, None).item(), low, high)
