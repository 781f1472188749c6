"""Make a classifier's probabilities as often right as they say: one temperature for all logits (Guo et al. 2017, arXiv
1706.04599)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LOWEST, _HIGHEST = 0.05, 20.0
_STEPS = 60


def fitted_temperature(logits: Tensor, classes: Tensor) -> float:
    """The temperature that minimises the cross entropy of logits [n, classes] / temperature with classes [n].

    By golden section over its logarithm, between 0.05 and 20; the cross entropy has one minimum in 1 / temperature.

    >>> logits = torch.tensor([[4.0, 0.0]] * 4)  # right three times of four, though sure of it
    >>> round((logits / fitted_temperature(logits, torch.tensor([0, 0, 0, 1]))).softmax(1)[0, 0].item(), 2)
    0.75
    """
    low, high = torch.tensor([_LOWEST, _HIGHEST], dtype=torch.float64).log().tolist()
    ratio = (5**0.5 - 1) / 2
    logits = logits.double()

    def entropy(position: float) -> float:
        return F.cross_entropy(logits / torch.tensor(position, dtype=torch.float64).exp(), classes).item()

    for _ in range(_STEPS):
        width = ratio * (high - low)
        left, right = high - width, low + width
        low, high = (low, right) if entropy(left) < entropy(right) else (left, high)
    return float(torch.tensor((low + high) / 2, dtype=torch.float64).exp())
