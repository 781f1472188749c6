"""Does a network look like those that a head was trained on?

The rule looks at a network's invariants, the vector that the head gives as its summary, in two ways. Their Mahalanobis
distance from the training networks' mean finds what lies far out. A small network, which has learned to tell training
networks from outsiders made of them, finds what lies in their midst, but in no combination that training leads to. A
network is in the population if neither figure exceeds its limit, a quantile over held-out calibration runs (99.5 % of
the distance, 99 % of the other). Being computed from invariants, the answer is the same along the whole orbit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.nn.discriminator import Discriminator

_SHRINKAGE = 0.1
_FAR, _STRANGE = 0.995, 0.99
# An invariant further out than so many spreads counts as if it were there: some populations have heavy tails.
_REACH = 10.0
_MIDDLE = (0.16, 0.5, 0.84)  # of a normal distribution: the mean, and one standard deviation to both sides
_LEAST_SPREAD = 0.05
_TINY = 1e-12


class Population(nn.Module):
    """Centre, spread and inverse covariance of the training population's invariants, a discriminator, and both limits.

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
        self.register_buffer("whitening", torch.eye(features))
        self.register_buffer("limit", torch.tensor(0.0))
        self.discriminator = Discriminator(features)
        self.register_buffer("strangeness_limit", torch.tensor(0.0))

    @torch.no_grad()
    def fit(self, training: Tensor, calibration: Tensor, outsiders: Tensor | None = None, seed: int = 0) -> None:
        """Set the rule from invariants [networks, features] of training and of calibration runs.

        The covariance is shrunk towards its own diagonal by 0.1, and its diagonal by a thousandth of its mean, so that
        a population smaller than the number of features still has an inverse.

        Args:
            outsiders: invariants of networks that are to be told from the training ones; None for the distance alone.
            seed: of what is learnt from them.
        """
        own = training.cpu().double()  # not every device has float64
        # A column at a time: torch.quantile takes 16 million entries at most.
        levels = torch.tensor(_MIDDLE, dtype=torch.float64)
        low, middle, high = torch.stack([torch.quantile(column, levels) for column in own.T], dim=1)
        spread = torch.maximum((high - low) / 2, _LEAST_SPREAD * own.std(0, correction=0))
        self.centre.copy_(middle)
        self.scale.copy_(torch.where(spread > _TINY, 1 / spread, 0.0))
        self.reach.fill_(_REACH)
        rows = self._standardised(training).cpu().double()
        mean = rows.mean(0)
        covariance = torch.cov((rows - mean).T)
        variances = covariance.diagonal()
        covariance = (1 - _SHRINKAGE) * covariance + torch.diag(
            _SHRINKAGE * variances + 1e-3 * variances.mean() + 1e-12
        )
        # ‖Cᵀx‖ with C Cᵀ the inverse covariance is the Mahalanobis distance of x.
        whitening = torch.linalg.cholesky(torch.linalg.inv(covariance))
        self.mean.copy_(mean)
        self.whitening.copy_(whitening)
        self.limit.copy_(torch.quantile(self.distance(calibration), _FAR))
        if outsiders is not None:
            self.discriminator.fit(self._standardised(training), self._standardised(outsiders), seed)
            strangeness = self.discriminator(self._standardised(calibration))
            self.strangeness_limit.copy_(torch.quantile(strangeness, _STRANGE))

    def distance(self, invariants: Tensor) -> Tensor:
        """Mahalanobis distance [networks] of invariants [networks, features], in units of standard deviations."""
        return torch.linalg.vector_norm((self._standardised(invariants) - self.mean) @ self.whitening, dim=-1)

    def contains(self, invariants: Tensor) -> Tensor:
        """Whether each network is within both limits, bool [networks]."""
        near = self.distance(invariants) <= self.limit
        return near & (self.discriminator(self._standardised(invariants)) <= self.strangeness_limit)

    def _standardised(self, invariants: Tensor) -> Tensor:
        return ((invariants - self.centre) * self.scale).clamp(-self.reach, self.reach)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take heads of the first version of this rule, which was the distance alone, of invariants as they are."""
        if f"{prefix}strangeness_limit" not in state_dict:
            before = Population(len(self.mean))
            before.reach.fill_(torch.finfo().max)
            state_dict |= {
                prefix + name: tensor
                for name, tensor in before.state_dict().items()
                if name not in ("mean", "whitening", "limit")
            }
        super()._load_from_state_dict(state_dict, prefix, *rest)
