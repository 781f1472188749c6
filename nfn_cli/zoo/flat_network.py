"""Networks whose parameters lie in flat rows, so that many are trained side by side."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor


class FlatNetwork(ABC):
    """The shapes of a network, and its parameters' positions in one flat row of `parameter_count` numbers."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors, by their name in a state dict, in the order of the flat row."""

    @property
    def parameter_count(self) -> int:
        """Numbers in a network."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, parameters: Tensor) -> dict[str, Tensor]:
        """Views [*batch, *shape] of parameters [*batch, parameter_count], by name."""
        parts = parameters.split([math.prod(shape) for shape in self.shapes.values()], dim=-1)
        return {name: part.unflatten(-1, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
