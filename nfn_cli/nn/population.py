"""Does a network look like those that a head was trained on?

The rule: a network is in the population if the Mahalanobis distance of its invariants (the vector that the head's
readout sees) from the training networks' mean is at most the 99 % quantile of the same distance over held-out
calibration runs. Being computed from invariants, the answer is the same along the whole orbit of a network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SHRINKAGE = 0.1
_QUANTILE = 0.99


class Population(nn.Module):
    """Mean and inverse covariance of the training population's invariants, and the largest distance allowed.

    Args:
        features: length of the vector of invariants.
    """

    mean: Tensor
    whitening: Tensor
    limit: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("whitening", torch.eye(features))
        self.register_buffer("limit", torch.tensor(0.0))

    def fit(self, training: Tensor, calibration: Tensor) -> None:
        """Set the rule from invariants [networks, features] of training and of calibration runs.

        The covariance is shrunk towards its own diagonal by 0.1, and its diagonal by a thousandth of its mean, so that
        a population smaller than the number of features still has an inverse.
        """
        rows = training.cpu().double()  # not every device has float64
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
        self.limit.copy_(torch.quantile(self.distance(calibration), _QUANTILE))

    def distance(self, invariants: Tensor) -> Tensor:
        """Mahalanobis distance [networks] of invariants [networks, features], in units of standard deviations."""
        return torch.linalg.vector_norm((invariants - self.mean) @ self.whitening, dim=-1)

    def contains(self, invariants: Tensor) -> Tensor:
        """Whether each network is within the limit, bool [networks]."""
        return self.distance(invariants) <= self.limit
