"""Squared weights between neuron groups: all that scales can change of the sum of squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Side, WeightSpace


@dataclass(frozen=True)
class Link:
    """Squared weights summed over all that is not a neuron.

    Attributes:
        feeds, reads: the groups that its rows feed and its columns read; None for inputs, outputs and biases.
        squares: float64 [neurons fed or 1, neurons read or 1].
    """

    feeds: int | None
    reads: int | None
    squares: Tensor


@dataclass(frozen=True)
class Links:
    """All links of one network, and which neurons of each group are both fed and read, bool [n]."""

    links: tuple[Link, ...]
    fed: tuple[Tensor, ...]
    read: tuple[Tensor, ...]

    @classmethod
    def of(cls, point: WeightSpace) -> Links:
        """Measure a network. Takes eight bytes a pair of neurons that a weight joins."""
        links = tuple(_link(point, position) for position in range(len(point.architecture.tensors)))
        sizes = [group.size for group in point.architecture.groups]
        fed = [torch.zeros(size, dtype=torch.bool) for size in sizes]
        for _ in sizes:  # what only silent neurons feed is silent, too
            for group in range(len(sizes)):
                fed[group] = _sums(links, group, Side.OUT, fed, None) > 0
        read = [torch.zeros(size, dtype=torch.bool) for size in sizes]
        for _ in sizes:
            for group in reversed(range(len(sizes))):
                read[group] = _sums(links, group, Side.IN, None, read) > 0
        return cls(links, tuple(fed), tuple(read))

    def alive(self, group: int) -> Tensor:
        """The neurons of a group that are fed and read."""
        return self.fed[group] & self.read[group]

    def squared_norms(self, group: int, log_scales: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each neuron, what feeds it and what reads it under scales exp(log_scales), among alive neurons only."""
        alive = [self.alive(other) for other in range(len(self.fed))]
        weights = [
            (torch.where(live, (2 * log).exp(), 0.0), torch.where(live, (-2 * log).exp(), 0.0))
            for live, log in zip(alive, log_scales, strict=True)
        ]
        fed = _sums(self.links, group, Side.OUT, [down for _, down in weights], None)
        read = _sums(self.links, group, Side.IN, None, [up for up, _ in weights])
        return fed * (2 * log_scales[group]).exp(), read * (-2 * log_scales[group]).exp()


def _link(point: WeightSpace, position: int) -> Link:
    spec = point.architecture.tensors[position]
    squares = point.tensors[spec.name].double().square()
    found: dict[Side, tuple[int, int]] = {}
    for axis in reversed(range(len(spec.roles))):
        role = spec.roles[axis]
        if role.group is None:
            squares = squares.sum(axis, keepdim=True)
        else:
            squares = squares.unflatten(axis, (-1, role.repeat)).sum(axis + 1)
            found[role.side] = (axis, role.group)
    outer = found.get(Side.OUT)
    inner = found.get(Side.IN)
    rows = squares.shape[outer[0]] if outer else 1
    return Link(outer[1] if outer else None, inner[1] if inner else None, squares.reshape(rows, -1))


def _sums(
    links: Sequence[Link],
    group: int,
    side: Side,
    columns: Sequence[Tensor] | None,
    rows: Sequence[Tensor] | None,
) -> Tensor:
    """Sums [n] over the links on one side of a group, with weights on the neurons at their other end."""
    total: Tensor | float = 0.0
    for link in links:
        if side is Side.OUT and link.feeds == group:
            weight = columns[link.reads] if columns is not None and link.reads is not None else None
            total = total + (link.squares.sum(1) if weight is None else link.squares @ weight.double())
        if side is Side.IN and link.reads == group:
            weight = rows[link.feeds] if rows is not None and link.feeds is not None else None
            total = total + (link.squares.sum(0) if weight is None else weight.double() @ link.squares)
    assert isinstance(total, Tensor)
    return total
