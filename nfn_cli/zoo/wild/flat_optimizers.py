"""PyTorch's optimizers over one flat tensor of numbers, each with a learning rate and a weight decay of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_SMOOTHING = 0.99  # of RMSprop


class FlatOptimizer:
    """The state of an optimizer.

    Args:
        name: one of `nfn_cli.zoo.wild.training_recipe.OPTIMIZERS`.
        rates, decays: of every number, float32 [numbers]. AdamW decouples the decay; the others add it to the
            gradient.
    """

    def __init__(self, name: str, rates: Tensor, decays: Tensor) -> None:
        self._move: Callable[[Tensor, Tensor, float, float], None] = getattr(self, f"_{name}")
        self._rates = rates
        self._decays = decays if bool(decays.any()) else None
        self._mean = torch.zeros_like(rates)
        self._square = torch.zeros_like(rates)
        self._steps = 0

    @torch.no_grad()
    def step(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        """Move the numbers in place.

        Args:
            factor: by which the schedule multiplies the learning rates.
            momentum: of SGD with momentum.
        """
        self._steps += 1
        self._move(numbers, gradient, factor, momentum)

    def _sgd(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        numbers.addcmul_(self._decayed(numbers, gradient), self._rates, value=-factor)

    def _momentum(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        self._mean.mul_(momentum).add_(self._decayed(numbers, gradient))
        numbers.addcmul_(self._mean, self._rates, value=-factor)

    def _adam(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        self._adapted(numbers, self._decayed(numbers, gradient), factor)

    def _adamw(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        if self._decays is not None:
            numbers.addcmul_(numbers, self._rates * self._decays, value=-factor)
        self._adapted(numbers, gradient, factor)

    def _rmsprop(self, numbers: Tensor, gradient: Tensor, factor: float, momentum: float) -> None:
        gradient = self._decayed(numbers, gradient)
        self._square.mul_(_SMOOTHING).addcmul_(gradient, gradient, value=1 - _SMOOTHING)
        numbers.addcdiv_(gradient * self._rates, self._square.sqrt().add_(_EPSILON), value=-factor)

    def _adapted(self, numbers: Tensor, gradient: Tensor, factor: float) -> None:
        """A step of Adam."""
        first, second = _BETAS
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = self._square.sqrt().div_((1 - second**self._steps) ** 0.5).add_(_EPSILON)
        numbers.addcdiv_(self._mean * self._rates, root, value=-factor / (1 - first**self._steps))

    def _decayed(self, numbers: Tensor, gradient: Tensor) -> Tensor:
        return gradient if self._decays is None else torch.addcmul(gradient, numbers, self._decays)
