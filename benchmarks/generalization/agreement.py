"""Kendall's τ of a method and of one method against another, with intervals over the same resampled runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from results import Ranking
from torch import Tensor

from nfn_cli.learning import Estimate, bootstrap, kendall_tau


def tau(rankings: Sequence[Ranking]) -> Estimate:
    """τ, averaged over seeds."""
    return bootstrap(_mean_tau, rankings[0].truth, _stacked(rankings), rankings[0].runs)


def tau_difference(ours: Sequence[Ranking], others: Sequence[Ranking]) -> Estimate:
    """τ of one method less τ of another on the same networks; every resample of runs serves both."""
    count = len(ours)

    def difference(truth: Tensor, predicted: Tensor, weights: Tensor | None) -> Tensor:
        return _mean_tau(truth, predicted[:count], weights) - _mean_tau(truth, predicted[count:], weights)

    predicted = torch.cat([_stacked(ours), _stacked(others)])
    return bootstrap(difference, ours[0].truth, predicted, ours[0].runs)


def _mean_tau(truth: Tensor, predicted: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over the rows of predictions [seeds, networks]."""
    return torch.stack([kendall_tau(truth, row, weights) for row in predicted]).mean(0)


def _stacked(rankings: Sequence[Ranking]) -> Tensor:
    return torch.stack([ranking.predicted for ranking in rankings])
