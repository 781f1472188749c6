"""The multilayer perceptron that ends most heads and every baseline."""

from __future__ import annotations

from torch import Tensor, nn


def readout(
    features: int,
    hidden: int,
    outputs: int = 1,
    dropout: float = 0.0,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Two hidden layers, from [batch, features] to [batch, outputs]; dropout behind each activation.

    With ReLUs and no dropout it is that of the code of Zhou et al. 2023 (arXiv 2302.14040).
    """
    return nn.Sequential(
        nn.Linear(features, hidden),
        activation(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        activation(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )


def logits(outputs: Tensor) -> Tensor:
    """What a readout gives, [batch, outputs], as logits: [batch] where there is one output."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs
