"""How far a network lies from those that a head for any classifier was fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.any_classifier.summary import SUMMARY

_REACH = 5.0
_SHRINKAGE = 0.1
_FAR = 0.98
_FOLDS = 4
_TINY = 1e-6


class Reach(nn.Module):
    """The Mahalanobis distance of a network's summary from the training networks' mean, in units of its limit.

    The limit is a quantile (98 %) of the distances of training networks, each from a rule that its run had no part in,
    by fourfold cross-validation.

    Args:
        size: numbers of a summary.
    """

    centre: Tensor
    scale: Tensor
    mean: Tensor
    whitening: Tensor
    limit: Tensor

    def __init__(self, size: int = SUMMARY) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("whitening", torch.zeros(size, size).fill_diagonal_(1.0))
        self.register_buffer("limit", torch.tensor(1.0))

    def distance(self, summaries: Tensor) -> Tensor:
        """Of summaries [networks, n]."""
        return torch.linalg.vector_norm((self._standard(summaries) - self.mean) @ self.whitening, dim=-1) / self.limit

    @torch.no_grad()
    def fit(self, summaries: Tensor, runs: Sequence[str]) -> None:
        """Set it by training networks [networks, n] and their runs."""
        self._learn(summaries)
        names = {name: number for number, name in enumerate(sorted(set(runs)))}
        fold = torch.tensor([names[run] % _FOLDS for run in runs], device=summaries.device)
        found = []
        for number in range(_FOLDS if len(names) >= 2 * _FOLDS else 0):
            part = Reach(summaries.shape[1]).to(summaries.device)
            part._learn(summaries[fold != number])
            found.append(part.distance(summaries[fold == number]))
        distances = torch.cat(found) if found else self.distance(summaries)
        self.limit.copy_(torch.quantile(distances.double(), _FAR).clamp_min(_TINY))

    def _standard(self, summaries: Tensor) -> Tensor:
        return _REACH * torch.tanh((summaries - self.centre) * self.scale / _REACH)

    def _learn(self, summaries: Tensor) -> None:
        own = summaries.double()
        deviation = own.std(0, correction=0)
        self.centre.copy_(own.mean(0))
        self.scale.copy_(torch.where(deviation > _TINY, 1 / deviation.clamp_min(_TINY), 0.0))
        self.limit.fill_(1.0)
        rows = self._standard(summaries).double()
        self.mean.copy_(rows.mean(0))
        covariance = torch.cov((rows - rows.mean(0)).T, correction=0)
        covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * torch.eye(len(covariance)).to(covariance)
        # ‖Cᵀx‖ with C Cᵀ the inverse covariance is the Mahalanobis distance of x.
        self.whitening.copy_(torch.linalg.cholesky(torch.linalg.inv(covariance)))
