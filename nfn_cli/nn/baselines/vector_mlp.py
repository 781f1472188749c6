"""A multilayer perceptron on one vector a network: STATNN on statistics, the plainest of all baselines on weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.readout import logits, readout

# Spreads below are those of a feature that never changes.
_LEAST_SPREAD = 1e-12


class VectorMLP(nn.Module):
    """Standardises a vector and turns it into a logit, or several.

    Args:
        features: length of the vector.
        hidden: units of each of the two hidden layers.
        outputs: number of logits.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, features: int, hidden: int = 1000, outputs: int = 1) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.readout = readout(features, hidden, outputs)

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set mean and spread of every feature from a training population, one tensor [networks, features]."""
        (rows,) = inputs
        rows = rows.cpu().double()  # not every device has float64
        spread = rows.std(0, correction=0)
        self.shift.copy_(rows.mean(0))
        self.scale.copy_(torch.where(spread > _LEAST_SPREAD, 1 / spread, 1.0))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of one tensor [batch, features]: [batch], or [batch, outputs] where there are several."""
        (rows,) = inputs
        return logits(self.readout((rows - self.shift) * self.scale))
