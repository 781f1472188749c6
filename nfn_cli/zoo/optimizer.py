"""One optimizer step for many networks, each with its own optimizer and learning rate.

Adam, RMSprop and SGD are one update with different constants per network:

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   w ← w − η · (m / c₁) / (√(v / c₂) + ε)

SGD has β₁ = 0 and no denominator, RMSprop has β₁ = 0 and no bias correction (c₁ = c₂ = 1). With a cosine schedule
(Loshchilov and Hutter 2017, without restarts), η at step t of T is its first value times (1 + cos(π t / T)) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.zoo.hyperparameters import Hyperparameters

_BETA1 = {"adam": 0.9, "rmsprop": 0.0, "sgd": 0.0}
_BETA2 = {"adam": 0.999, "rmsprop": 0.9, "sgd": 0.0}
_EPSILON = 1e-7


class PopulationOptimizer:
    """Updates parameters of shape [networks, parameters] in place, in float32.

    Args:
        total: steps that there will be, over which schedules run.
    """

    def __init__(self, parameters: Tensor, runs: Sequence[Hyperparameters], total: int) -> None:
        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=parameters.device)[:, None]  # [networks, 1]

        self.parameters = parameters
        self.learning_rate = column([run.learning_rate for run in runs])
        self.beta1 = column([_BETA1[run.optimizer] for run in runs])
        self.beta2 = column([_BETA2[run.optimizer] for run in runs])
        self.corrected = column([float(run.optimizer == "adam") for run in runs])
        self.plain = column([float(run.optimizer == "sgd") for run in runs])
        self.first = torch.zeros_like(parameters)
        self.second = torch.zeros_like(parameters)
        self.cosine = column([float(run.schedule == "cosine") for run in runs])
        self.steps, self.total = 0, total

    def step(self, gradient: Tensor) -> None:
        """Apply one step with `gradient`, shape [networks, parameters]."""
        fallen = (1 - math.cos(math.pi * self.steps / self.total)) / 2
        learning_rate = self.learning_rate * (1 - self.cosine * fallen)
        self.steps += 1
        self.first.lerp_(gradient, 1 - self.beta1)
        self.second.lerp_(gradient.square(), 1 - self.beta2)
        correction1 = 1 - self.corrected * self.beta1**self.steps
        correction2 = 1 - self.corrected * self.beta2**self.steps
        denominator = (self.second / correction2).sqrt_().add_(_EPSILON)
        denominator = torch.where(self.plain > 0, 1.0, denominator)
        self.parameters.addcdiv_(self.first * (-learning_rate / correction1), denominator)
