"""Sums of squared weights between neuron groups: the part of the sum of squares that scales can change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side, TensorSpec

_CHUNK = 1 << 16  # numbers held in float64 at once: half a megabyte stays in a processor's cache
# With this many weights a pair of neurons, their sums of squares are held: half of what they take in float32, at most.
_MANY = 4


def pair_weights(tensor: Tensor, spec: TensorSpec) -> tuple[int | None, int | None, Tensor]:
    """A tensor by the neurons that each weight joins.

    Returns:
        The group that it feeds and the one that it reads, or None; and a view of the tensor [neurons fed or 1, neurons
        read or 1, *weights of a pair].
    """
    groups: list[int | None] = []
    for front, side in enumerate((Side.OUT, Side.IN)):
        axis = next((axis for axis, role in enumerate(spec.roles) if role.side is side), None)
        if axis is None:
            tensor = tensor.unsqueeze(front)
            groups.append(None)
            continue
        # Counted from the end, the other axes keep their positions when this one goes to the front.
        place, role = axis - len(spec.roles), spec.roles[axis]
        tensor = tensor.unflatten(place, (-1, role.repeat)).movedim(place - 1, front)
        groups.append(role.group)
    return groups[0], groups[1], tensor


@dataclass(frozen=True)
class Link:
    """One tensor's weights between the neurons of two groups, whose squares are summed.

    Where a pair of neurons has few weights, they are squared again for each sum, a chunk at a time, so that memory
    never holds a large network in float64.

    Attributes:
        feeds, reads: the groups that its rows feed and its columns read; None for inputs, outputs and biases.
        weights: [neurons fed or 1, neurons read or 1, *weights of a pair], a view of the tensor; or their sums of
            squares, float64 [neurons fed or 1, neurons read or 1].
        squared: whether `weights` are these sums.
    """

    feeds: int | None
    reads: int | None
    weights: Tensor
    squared: bool = False

    @classmethod
    def of(cls, tensor: Tensor, spec: TensorSpec) -> Link:
        """The link that a tensor of the weight space makes."""
        feeds, reads, weights = pair_weights(tensor, spec)
        link = cls(feeds, reads, weights)
        if feeds is not None and reads is not None and math.prod(weights.shape[2:]) < _MANY:
            return link
        if feeds is not None:
            squares = torch.cat([part for _, part in link.squares()])
        else:
            squares = torch.cat([part for _, part in cls(None, None, weights.transpose(0, 1)).squares()]).T
        return cls(feeds, reads, squares, squared=True)

    def squares(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows [chunk, columns] of the sums of squares, float64, and which they are."""
        if self.squared:
            yield slice(None), self.weights
            return
        rows = max(1, _CHUNK // max(1, self.weights[0].numel()))
        for start in range(0, len(self.weights), rows):
            part = self.weights[start : start + rows].to(torch.float64, copy=True).square_()
            yield slice(start, start + rows), part.flatten(2).sum(2) if part.ndim > 2 else part

    def fed(self, weight: Tensor | None = None) -> Tensor:
        """The sum of each row over the columns, [neurons fed or 1]; with float64 weights on the columns."""
        return torch.cat([part.sum(1) if weight is None else part @ weight for _, part in self.squares()])

    def read(self, weight: Tensor | None = None) -> Tensor:
        """The sum of each column over the rows, [neurons read or 1]; with float64 weights on the rows."""
        parts = [part.sum(0) if weight is None else weight[some] @ part for some, part in self.squares()]
        return torch.stack(parts).sum(0)

    def sums(self, columns: Tensor | None, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same as `fed` and `read` with these weights, with one squaring for both."""
        fed, read = [], []
        for some, part in self.squares():
            fed.append(part.sum(1) if columns is None else part @ columns)
            read.append(part.sum(0) if rows is None else rows[some] @ part)
        return torch.cat(fed), torch.stack(read).sum(0)


@dataclass(frozen=True)
class Links:
    """All links of one network.

    Attributes:
        links: those that feed or read a group.
        into, out_of: per group, the links that feed it and those that read it.
        fed, read: per group, bool [n]: which neurons something feeds, and which something reads.
    """

    links: tuple[Link, ...]
    into: tuple[tuple[Link, ...], ...]
    out_of: tuple[tuple[Link, ...], ...]
    fed: tuple[Tensor, ...]
    read: tuple[Tensor, ...]

    @classmethod
    def of(cls, point: NetworkWeights) -> Links:
        """Measure a network, without batch axes."""
        sizes = [group.size for group in point.architecture.groups]
        into: list[list[Link]] = [[] for _ in sizes]
        out_of: list[list[Link]] = [[] for _ in sizes]
        links = [Link.of(point.tensors[spec.name], spec) for spec in point.architecture.tensors]
        for link in links:
            if link.feeds is not None:
                into[link.feeds].append(link)
            if link.reads is not None:
                out_of[link.reads].append(link)
        fed = [torch.zeros(size, dtype=torch.bool) for size in sizes]
        read = [torch.zeros(size, dtype=torch.bool) for size in sizes]
        # A neuron that only silent neurons feed is silent, too; one that only unread neurons read counts as unread.
        _settle(fed, range(len(sizes)), lambda group: _fed(into[group], lambda other: fed[other].double()), out_of)
        _settle(read, range(len(sizes))[::-1], lambda group: _read(out_of[group], lambda o: read[o].double()), into)
        met = tuple(link for link in links if (link.feeds, link.reads) != (None, None))
        return cls(met, tuple(map(tuple, into)), tuple(map(tuple, out_of)), tuple(fed), tuple(read))

    def alive(self, group: int) -> Tensor:
        """The neurons of a group that are fed and read."""
        return self.fed[group] & self.read[group]

    def squared_norms(self, group: int, log_scales: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Each neuron's incoming and outgoing sums under scales exp(log_scales), among alive neurons only."""
        fed = _fed(self.into[group], lambda other: self._power(other, log_scales, -2))
        read = _read(self.out_of[group], lambda other: self._power(other, log_scales, 2))
        return fed * (2 * log_scales[group]).exp(), read * (-2 * log_scales[group]).exp()

    def measured(self, log_scales: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The `squared_norms` of all groups, and the total of each link, float64 [links], squaring every weight once.

        Numbers of neurons that are not alive are zero.
        """
        fed = [torch.zeros_like(log) for log in log_scales]
        read = [torch.zeros_like(log) for log in log_scales]
        totals = []
        for link in self.links:
            down = None if link.reads is None else self._power(link.reads, log_scales, -2)
            up = None if link.feeds is None else self._power(link.feeds, log_scales, 2)
            rows, columns = link.sums(down, up)
            rows = rows if up is None else rows * up
            if link.feeds is not None:
                fed[link.feeds] += rows
            if link.reads is not None and down is not None:
                read[link.reads] += columns * down
            totals.append(rows.sum())
        return fed, read, torch.stack(totals)

    def _power(self, group: int, log_scales: Sequence[Tensor], power: int) -> Tensor:
        return torch.where(self.alive(group), (power * log_scales[group]).exp(), 0.0)


def _settle(
    known: list[Tensor], order: Sequence[int], sums: Callable[[int], Tensor], onward: Sequence[Sequence[Link]]
) -> None:
    """Find for every group which neurons have a sum above zero, where sums depend on the neighbouring groups.

    In the order of a chain's groups each group is visited once.
    """
    waiting = dict.fromkeys(order)
    while waiting:
        group = next(iter(waiting))
        del waiting[group]
        found = sums(group) > 0
        if not torch.equal(found, known[group]):
            known[group] = found
            others = (link.feeds if link.reads == group else link.reads for link in onward[group])
            waiting |= dict.fromkeys(other for other in others if other is not None)


def _fed(links: Sequence[Link], weight: Callable[[int], Tensor]) -> Tensor:
    """Sums [n] over the links that feed a group, with weights on the neurons that they read."""
    return torch.stack([link.fed(None if link.reads is None else weight(link.reads)) for link in links]).sum(0)


def _read(links: Sequence[Link], weight: Callable[[int], Tensor]) -> Tensor:
    """Sums [n] over the links that read a group, with weights on the neurons that they feed."""
    return torch.stack([link.read(None if link.feeds is None else weight(link.feeds)) for link in links]).sum(0)
