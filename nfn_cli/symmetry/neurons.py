"""A neuron group as rows: what each of its neurons reads, or what reads it, in float64 and a few rows at a time.

A network of one gigabyte would take two in float64, so nothing here holds more than a chunk of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side, TensorSpec
from nfn_cli.symmetry.element import GroupElement

# Numbers held in float64 at once. They fit into a processor's cache, and PyTorch works on so few in one thread: with
# several, threads would wait for one another longer than they work.
CHUNK = (1 << 15) - 1


def neuron_rows(
    point: NetworkWeights,
    group: int,
    side: Side,
    element: GroupElement,
    silent: Sequence[Tensor | None] = (),
    neurons: Tensor | None = None,
    *,
    ordered: bool = True,
    positions: int | None = None,
    lasting: bool = True,
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The weights on one side of a group's neurons, after the element has acted on all other groups.

    Args:
        point: one network, without batch axes.
        side: OUT for the weights and bias that feed a neuron, IN for the weights that read it, INDEX for what is its
            own but is not scaled with it (see `has_index`).
        element: its part for `group` itself is not applied.
        silent: per group, which neurons (in their order in `point`) always put out zero; weights that read them count
            as zero. None, and groups beyond the end, have no such neurons.
        neurons: which neurons, in this order; all by default.
        ordered: whether the other groups are permuted as well as scaled. Without it, entries come in another order.
        positions: of the first of the other axes, how many positions; all by default. Needs `ordered`.
        lasting: whether the weights of one chunk stay valid when the next chunk is made. Without it all chunks may
            share memory, which is faster.

    Yields:
        Neurons [chunk], their weights [chunk, entries] flattened over all tensors in the architecture's order, and
        their biases [chunk], or None where there are none.
    """
    size = point.architecture.groups[group].size
    parts = [
        _Part.of(point.tensors[spec.name], spec, axis, element, silent, ordered, positions)
        for spec in point.architecture.tensors
        for axis, role in enumerate(spec.roles)
        if (role.group, role.side) == (group, side)
    ]
    count = size if neurons is None else len(neurons)
    step = max(1, CHUNK // max(1, sum(part.view.numel() // size for part in parts)))
    # New memory for each chunk would be given back to the system, and asked for again, each time.
    places = [None if lasting else torch.empty(step, *part.view.shape[1:], dtype=torch.float64) for part in parts]
    for start in range(0, count, step):
        stop = min(start + step, count)
        some = torch.arange(start, stop) if neurons is None else neurons[start:stop]
        weights, biases = [], []
        for part, place in zip(parts, places, strict=True):
            chunk = part.view[start:stop] if neurons is None else part.view.index_select(0, some)
            rows = part.rows(chunk, None if place is None else place[: len(chunk)])
            if part.bias:
                biases.append(rows[:, 0])
            else:
                weights.append(rows.flatten(1))
        joined = weights[0] if len(weights) == 1 else torch.cat(weights, dim=1)
        yield some, joined, sum(biases[1:], biases[0]) if biases else None


def has_index(point: NetworkWeights, group: int) -> bool:
    """Whether a tensor has entries that are permuted with a group's neurons but not scaled with them."""
    roles = (role for spec in point.architecture.tensors for role in spec.roles)
    return any(role.group == group and role.side is Side.INDEX for role in roles)


def unread_neurons(point: NetworkWeights, group: int) -> Tensor:
    """Which neurons of a group are read by zero weights only, bool [n]."""
    size = point.architecture.groups[group].size
    unread = torch.ones(size, dtype=torch.bool)
    for spec in point.architecture.tensors:
        for axis, role in enumerate(spec.roles):
            if (role.group, role.side) != (group, Side.IN):
                continue
            tensor = point.tensors[spec.name]
            step = len(tensor) if axis == 0 else max(1, CHUNK // max(1, tensor[:1].numel()))
            for start in range(0, len(tensor), step):
                # Mostly the first rows read every neuron already; then the others need not be read.
                if not bool(unread.any()):
                    break
                chunk = tensor[start : start + step].movedim(axis, 0)
                unread &= (chunk.reshape(size, -1) == 0).all(1)
    return unread


@dataclass(frozen=True)
class _Part:
    """One tensor with the neurons along its first axis, and what is done to each chunk of it.

    Attributes:
        view: [neurons, repeat, other axes].
        bias: whether the tensor is the neurons' bias.
        places: axes of other groups, counted from the end, and the order in which their entries are taken.
        factors: what chunks are multiplied by, in the shape that broadcasts, in float64.
    """

    view: Tensor
    bias: bool
    places: tuple[tuple[int, Tensor], ...]
    factors: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        tensor: Tensor,
        spec: TensorSpec,
        axis: int,
        element: GroupElement,
        silent: Sequence[Tensor | None],
        ordered: bool,
        positions: int | None,
    ) -> _Part:
        own = spec.roles[axis]
        view = tensor.unflatten(axis, (-1, own.repeat)).movedim((axis, axis + 1), (0, 1))
        others = [role for place, role in enumerate(spec.roles) if place != axis]
        places: list[tuple[int, Tensor]] = []
        factors: list[Tensor] = []
        for place, role in enumerate(others):
            along = place - len(others)
            kept = positions if place == 0 else None
            if role.group is None:
                view = view if kept is None else view.narrow(along, 0, min(kept, view.shape[along]))
                continue
            order = element.permutations[role.group]
            if role.side is Side.INDEX:
                factor = torch.ones(len(order), dtype=torch.float64)
            else:
                factor = element.diagonals[role.group]  # half-turns do not change the weights that feed a neuron
            if role.side is Side.IN:
                factor = 1 / element.factor(role.group)
                quiet = silent[role.group] if role.group < len(silent) else None
                if quiet is not None:  # an element keeps its factors in the new order
                    factor = factor.masked_fill(quiet[order], 0.0)
            if not ordered:
                factor = torch.empty_like(factor).scatter_(0, order, factor)
            factor = factor.repeat_interleave(role.repeat)[:kept] if role.repeat > 1 else factor[:kept]
            if ordered:
                taken = order
                if role.repeat > 1:
                    taken = (order[:, None] * role.repeat + torch.arange(role.repeat)).flatten()
                if kept is not None:
                    view = view.index_select(along, taken[:kept])
                elif not torch.equal(taken, torch.arange(len(taken))):
                    places.append((along, taken))
            if bool((factor != 1).any()):
                factors.append(factor.view(-1, *[1] * (-along - 1)))
        return cls(view, own.bias, tuple(places), tuple(factors))

    def rows(self, chunk: Tensor, place: Tensor | None) -> Tensor:
        """A chunk of the view, acted on, in float64; put into `place` where there is one."""
        for along, order in self.places:
            chunk = chunk.index_select(along, order)
        if place is None and not self.factors:
            return chunk.double()
        # A copy, which may then be multiplied in place: faster than a product of two dtypes.
        rows = chunk.to(torch.float64, copy=True) if place is None else place.copy_(chunk)
        for factor in self.factors:
            rows *= factor
        return rows
