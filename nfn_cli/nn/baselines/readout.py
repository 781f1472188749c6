"""The multilayer perceptron that ends every baseline, as in the code of Zhou et al. 2023 (arXiv 2302.14040)."""

from __future__ import annotations

from torch import nn


def readout(features: int, hidden: int) -> nn.Sequential:
    """Two hidden layers of ReLUs, from [batch, features] to one number each, [batch, 1]."""
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1),
    )
