"""The multilayer perceptron that ends every baseline, as in the code of Zhou et al. 2023 (arXiv 2302.14040)."""

from __future__ import annotations

from torch import Tensor, nn


def readout(features: int, hidden: int, outputs: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """Two hidden layers of ReLUs, from [batch, features] to [batch, outputs]; dropout, if any, behind each ReLU."""
    rest = [nn.Dropout(dropout)] if dropout > 0 else []
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        *rest,
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        *rest,
        nn.Linear(hidden, outputs),
    )


def logits(outputs: Tensor) -> Tensor:
    """What a readout gives, [batch, outputs], as logits: [batch] where there is one output."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs
