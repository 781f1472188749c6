"""Out-of-distribution detection: does a network look like those that a head was fitted to?

The detector looks at a network's invariants, the vector that the head gives as its summary, in two ways. Their
Mahalanobis distance from the training networks' mean finds what lies far out. A discriminator, a small network that has
learned to separate training networks from out-of-distribution ones made of them, finds what lies in their midst, but in
no combination that training leads to. A network is in distribution if neither figure exceeds its limit, a quantile
(99.5 % of the distance, 99 % of the other) over networks that the figure was not fitted to: held-out calibration runs,
and the training runs by fourfold cross-validation, since a few dozen runs are too few for so high a quantile. What is
computed from invariants is the same along the whole orbit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.nn.discriminator import Discriminator

_SHRINKAGE = 0.1
_FAR, _STRANGE = 0.995, 0.99
_FOLDS = 4
# An invariant further out than so many spreads counts as if it were there: some populations have heavy tails.
_REACH = 10.0
_MIDDLE = (0.16, 0.5, 0.84)  # of a normal distribution: the mean, and one standard deviation to both sides
_LEAST_SPREAD = 0.05
_TINY = 1e-12


class OODDetector(nn.Module):
    """Centre, spread and inverse covariance of the training networks' invariants, a discriminator, and both limits.

    Args:
        features: length of the vector of invariants.
    """

    centre: Tensor
    scale: Tensor
    reach: Tensor
    mean: Tensor
    whitening: Tensor
    limit: Tensor
    strangeness_limit: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("reach", torch.tensor(_REACH))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("whitening", torch.zeros(features, features).fill_diagonal_(1.0))
        self.register_buffer("limit", torch.tensor(0.0))
        self.discriminator = Discriminator(features)
        self.register_buffer("strangeness_limit", torch.tensor(0.0))

    @torch.no_grad()
    def fit(
        self,
        training: Tensor,
        calibration: Tensor,
        made: Tensor | None = None,
        runs: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        """Set the rule from invariants [networks, features] of training and of calibration runs, on the CPU.

        Args:
            made: invariants [kinds, networks, features] of the out-of-distribution networks that were made of each
                training network; None for the distance alone.
            runs: of the training networks, which cross-validation keeps together; None if each has its own.
            seed: of the discriminator.
        """
        own, held_out, others = training.cpu(), calibration.cpu(), None if made is None else made.cpu()
        whole = _learnt(own, others, seed)
        scores = [whole._scores(held_out)]
        for left_out in _folds(runs or [str(number) for number in range(len(own))]):
            part = _learnt(own[~left_out], None if others is None else others[:, ~left_out], seed)
            scores.append(part._scores(own[left_out]))
        distances, strangeness = torch.cat(scores).unbind(1)
        whole.limit.copy_(torch.quantile(distances, _FAR))
        whole.strangeness_limit.copy_(torch.quantile(strangeness, _STRANGE))
        self.load_state_dict(whole.state_dict())

    def distance(self, invariants: Tensor) -> Tensor:
        """Mahalanobis distance [networks] of invariants [networks, features], in units of standard deviations."""
        return torch.linalg.vector_norm((self._standardised(invariants) - self.mean) @ self.whitening, dim=-1)

    def relative_distance(self, invariants: Tensor) -> Tensor:
        """Mahalanobis distance [networks] as a share of its limit."""
        return self.distance(invariants) / self.limit.clamp_min(_TINY)

    def contains(self, invariants: Tensor) -> Tensor:
        """Whether each network is within both limits, bool [networks]."""
        distance, strangeness = self._scores(invariants).unbind(1)
        return (distance <= self.limit) & (strangeness <= self.strangeness_limit)

    def _scores(self, invariants: Tensor) -> Tensor:
        """Distance and strangeness [networks, 2]."""
        return torch.stack([self.distance(invariants), self.discriminator(self._standardised(invariants))], dim=1)

    def _standardised(self, invariants: Tensor) -> Tensor:
        return ((invariants - self.centre) * self.scale).clamp(-self.reach, self.reach)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take heads of the first version of this rule, which was the distance alone, of invariants as they are."""
        if f"{prefix}strangeness_limit" not in state_dict:
            before = OODDetector(len(self.mean))
            before.reach.fill_(torch.finfo().max)
            state_dict |= {
                prefix + name: tensor
                for name, tensor in before.state_dict().items()
                if name not in ("mean", "whitening", "limit")
            }
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _learnt(training: Tensor, made: Tensor | None, seed: int) -> OODDetector:
    """The rule but for its limits.

    The covariance is shrunk towards its own diagonal by 0.1, and its diagonal by a thousandth of its mean, so that a
    population smaller than the number of features still has an inverse.
    """
    rule = OODDetector(training.shape[1])
    own = training.double()
    # A column at a time: torch.quantile takes 16 million entries at most.
    levels = torch.tensor(_MIDDLE, dtype=torch.float64)
    low, middle, high = torch.stack([torch.quantile(column, levels) for column in own.T], dim=1)
    spread = torch.maximum((high - low) / 2, _LEAST_SPREAD * own.std(0, correction=0))
    rule.centre.copy_(middle)
    rule.scale.copy_(torch.where(spread > _TINY, 1 / spread, 0.0))
    rows = rule._standardised(training).double()
    mean = rows.mean(0)
    covariance = torch.cov((rows - mean).T)
    variances = covariance.diagonal()
    covariance = (1 - _SHRINKAGE) * covariance + torch.diag(_SHRINKAGE * variances + 1e-3 * variances.mean() + 1e-12)
    rule.mean.copy_(mean)
    # ‖Cᵀx‖ with C Cᵀ the inverse covariance is the Mahalanobis distance of x.
    rule.whitening.copy_(torch.linalg.cholesky(torch.linalg.inv(covariance)))
    if made is not None:
        rule.discriminator.fit(rule._standardised(training), rule._standardised(made.flatten(0, 1)), seed)
    return rule


def _folds(runs: Sequence[str]) -> Iterator[Tensor]:
    """Which networks each fold leaves out, bool [networks]; none at all where there are too few runs."""
    names = {name: number for number, name in enumerate(sorted(set(runs)))}
    fold = torch.tensor([names[run] % _FOLDS for run in runs])
    for number in range(_FOLDS if len(names) >= 2 * _FOLDS else 0):
        yield fold == number
