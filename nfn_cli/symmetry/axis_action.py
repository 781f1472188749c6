"""The action of a group element along one axis: take the entries in a new order, scale and shift them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfn_cli.architectures import AxisRole, Side
from nfn_cli.symmetry.element import GroupElement


@dataclass(frozen=True)
class AxisAction:
    """What is done along one axis of tensors [*batch, *shape], worked out once.

    Attributes:
        axis: counted from the end, so negative.
        positions: where each entry is taken from, int64, in the shape that broadcasts along the axis.
        batched: whether every network of a batch has positions of its own.
        factors: float64, what entries are multiplied by, or with `divide` divided by; None where they stay.
        shifts: float64, what is added then; None where nothing is.
    """

    axis: int
    positions: Tensor
    batched: bool
    factors: Tensor | None = None
    divide: bool = False
    shifts: Tensor | None = None

    @classmethod
    def of(
        cls, axis: int, role: AxisRole, element: GroupElement, omegas: Sequence[float], dimensions: int
    ) -> AxisAction:
        """The part of an element that acts on an axis which belongs to a group.

        Args:
            omegas: of each group's sine, to which half-turns of phase refer.
            dimensions: of the tensors, batch axes counted.
        """
        assert role.group is not None
        order, half_turns = element.permutations[role.group], element.half_turns[role.group]
        entries = order
        if role.repeat > 1:
            entries = (order[..., None] * role.repeat + torch.arange(role.repeat, device=order.device)).flatten(-2)
        positions, batched = _along(entries, axis, dimensions), order.ndim > 1
        if role.side is Side.INDEX:
            return cls(axis, positions, batched)
        values = element.factor(role.group) if role.side is Side.IN else element.diagonals[role.group]
        factors = _along(_repeated(values, role), axis, dimensions)
        if role.side is Side.IN:
            return cls(axis, positions, batched, factors, divide=True)
        shifts = None
        if role.bias and bool(half_turns.any()):
            shifts = _along(_repeated(half_turns.double(), role), axis, dimensions) * (math.pi / omegas[role.group])
        return cls(axis, positions, batched, factors, shifts=shifts)

    def part(self, start: int, stop: int) -> AxisAction:
        """The action for one network along its first axis, on entries `start` to `stop` alone."""
        factors, shifts = (None if part is None else part[start:stop] for part in (self.factors, self.shifts))
        return replace(self, positions=self.positions[start:stop], factors=factors, shifts=shifts)

    def permuted(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor with its entries in their new order."""
        if self.batched:
            return torch.take_along_dim(tensor, self.positions, dim=self.axis)
        # One order for all: much faster than looking every entry up.
        return tensor.index_select(self.axis, self.positions.flatten())

    def scaled(self, permuted: Tensor) -> Tensor:
        """What `permuted` has given, scaled and shifted in its place where it can be.

        Returns:
            float64, or the tensor's own dtype where it is only permuted.
        """
        if self.factors is None:
            return permuted
        values = permuted.double()
        values = values.div_(self.factors) if self.divide else values.mul_(self.factors)
        return values if self.shifts is None else values.add_(self.shifts)


def _repeated(values: Tensor, role: AxisRole) -> Tensor:
    return values.repeat_interleave(role.repeat, dim=-1) if role.repeat > 1 else values


def _along(values: Tensor, axis: int, dimensions: int) -> Tensor:
    """Values [*batch, entries] in the shape that broadcasts along an axis.

    Trailing axes of size one line the entries up with it; leading ones stand for batch axes.
    """
    leading = dimensions + axis - values.ndim + 1
    return values.reshape(*values.shape[:-1], *(1,) * leading, values.shape[-1], *(1,) * (-axis - 1))
