"""The numbers that a lower precision has: half precisions, and int8 with the largest entry at 127.

>>> import torch
>>> grid = grid_of("int8 per tensor", torch.tensor([127.0, 3.2, -0.4]))
>>> grid.nearest(torch.tensor([3.2, -0.4, 0.6]).double()).tolist()
[3.0, -0.0, 1.0]
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# From the finest to the coarsest.
KINDS = ("float16", "bfloat16", "int8 per row", "int8 per tensor")
_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_LEVELS = 127
_CLOSE = 1e-4  # of a step of int8: how far from the middle of two levels either may have been taken


@dataclass(frozen=True)
class Grid:
    """The grid of one tensor.

    Attributes:
        kind: one of `KINDS`.
        steps: of int8, what lies between two levels: float64 [] or [rows, 1, ...]; None for half precisions, whose
            steps grow with the numbers.
    """

    kind: str
    steps: Tensor | None = None

    def rows(self, start: int, stop: int) -> Grid:
        """The grid of some of the tensor's rows."""
        if self.steps is None or not self.steps.ndim:
            return self
        return Grid(self.kind, self.steps[start:stop])

    def nearest(self, values: Tensor) -> Tensor:
        """The nearest numbers of the grid, float64; infinite beyond its range."""
        if self.steps is None:
            return values.to(_FLOATS[self.kind]).double()
        return (values / self.steps).round().clamp(-_LEVELS, _LEVELS) * self.steps

    def taken(self, values: Tensor, wanted: Tensor, noise: float) -> Tensor:
        """The same; where a value lies in the middle of two numbers, the one that is nearer to another value.

        Args:
            noise: relative error of the values.
        """
        space = values.abs() * noise
        if self.steps is not None:
            space = torch.maximum(space, (_CLOSE * self.steps).expand_as(space))
        low, high = self.nearest(values - space), self.nearest(values + space)
        return torch.where((low - wanted).abs() <= (high - wanted).abs(), low, high)

    def half_steps(self, levels: Tensor) -> Tensor:
        """Half of the distance between numbers of the grid, at some of them."""
        if self.steps is not None:
            return (self.steps / 2).expand_as(levels)
        facts = torch.finfo(_FLOATS[self.kind])
        # A number f · 2^e, f from 0.5 to 1, lies 2^e · eps / 2 from the next one.
        _, exponents = torch.frexp(levels)
        return torch.ldexp(torch.full_like(levels, facts.eps / 4), exponents).clamp_min(
            facts.smallest_normal * facts.eps / 2
        )


def grid_of(kind: str, tensor: Tensor) -> Grid:
    """The grid that a tensor has, or would be rounded to.

    Args:
        kind: one of `KINDS`. A row of int8 is an entry of the first axis; a vector has one grid, or none by rows.
        tensor: of floating point.
    """
    if kind in _FLOATS:
        return Grid(kind)
    values = tensor.detach()
    if not values.numel():
        return Grid(kind, torch.ones((), dtype=torch.float64))
    if kind == "int8 per row" and values.ndim:
        # Of a vector every entry is the largest of its row, so that all stay.
        rows = values.reshape(len(values), -1)
        most = torch.maximum(rows.amax(1), -rows.amin(1)).double().view(-1, *[1] * (values.ndim - 1))
    else:
        most = torch.maximum(values.amax(), -values.amin()).double()
    return Grid(kind, torch.where(most > 0, most / _LEVELS, 1.0))
