"""A neuron group as rows: what each of its neurons reads, or what reads it, in float64 and a few rows at a time.

A network of a gigabyte must not become two in float64, so nothing here holds more than a chunk of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import Side, TensorSpec, WeightSpace
from nfn_cli.symmetry.element import GroupElement

_CHUNK = 1 << 18  # numbers held in float64 at once: two megabytes stay in a processor's cache


def neuron_rows(
    point: WeightSpace,
    group: int,
    side: Side,
    element: GroupElement,
    silent: Sequence[Tensor | None] = (),
    neurons: Tensor | None = None,
    *,
    ordered: bool = True,
    positions: int | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The weights on one side of a group's neurons, as the other groups' parts of `element` leave them.

    Args:
        point: one network, without batch axes.
        side: OUT for the weights and bias that feed a neuron, IN for the weights that read it.
        element: its part for `group` itself is not applied.
        silent: per group, which neurons (in their order in `point`) always put out zero; weights that read them count
            as zero. None, and groups beyond the end, have no such neurons.
        neurons: which neurons, in this order; all by default.
        ordered: whether the other groups are permuted as well as scaled. Without it, entries come in another order.
        positions: of the first of the other axes, how many positions; all by default.

    Yields:
        Neurons [chunk], their weights [chunk, entries] flattened over all tensors in the architecture's order, and
        their biases [chunk], or None where there are none.
    """
    chosen = torch.arange(point.architecture.groups[group].size) if neurons is None else neurons
    parts = [
        (spec, axis, role.bias)
        for spec in point.architecture.tensors
        for axis, role in enumerate(spec.roles)
        if (role.group, role.side) == (group, side)
    ]
    size = point.architecture.groups[group].size
    entries = max(1, sum(point.tensors[spec.name].numel() // size for spec, _, _ in parts))
    for some in chosen.split(max(1, _CHUNK // entries)):
        moved = [
            (_moved(point.tensors[spec.name], spec, axis, some, element, silent, ordered, positions), bias)
            for spec, axis, bias in parts
        ]
        weights = [values.flatten(1) for values, bias in moved if not bias]
        biases = [values[:, 0] for values, bias in moved if bias]
        joined = weights[0] if len(weights) == 1 else torch.cat(weights, dim=1)
        yield some, joined, sum(biases[1:], biases[0]) if biases else None


def unread_neurons(point: WeightSpace, group: int) -> Tensor:
    """Which neurons of a group are read by zero weights alone, bool [n]."""
    unread = torch.ones(point.architecture.groups[group].size, dtype=torch.bool)
    for spec in point.architecture.tensors:
        for axis, role in enumerate(spec.roles):
            if (role.group, role.side) == (group, Side.IN):
                reads = point.tensors[spec.name] != 0
                for other in reversed(range(reads.ndim)):
                    reads = reads if other == axis else reads.any(other, keepdim=True)
                unread &= ~reads.flatten().unflatten(0, (-1, role.repeat)).any(1)
    return unread


def _moved(
    tensor: Tensor,
    spec: TensorSpec,
    axis: int,
    neurons: Tensor,
    element: GroupElement,
    silent: Sequence[Tensor | None],
    ordered: bool,
    positions: int | None,
) -> Tensor:
    """The neurons' part of a tensor, [neurons, repeat, other axes], with every other group's axis acted on."""
    own = spec.roles[axis]
    part = tensor.unflatten(axis, (-1, own.repeat)).movedim((axis, axis + 1), (0, 1))
    part = part.index_select(0, neurons)
    others = [role for place, role in enumerate(spec.roles) if place != axis]
    for place, role in enumerate(others):
        along = place - len(others)
        kept = positions if place == 0 else None
        if role.group is None:
            part = part if kept is None else part.narrow(along, 0, min(kept, part.shape[along]))
            continue
        order = element.permutations[role.group]
        factors = element.diagonals[role.group]  # half-turns move biases and readers, not a neuron's own weights
        if role.side is Side.IN:
            factors = element.factors[role.group]
            quiet = silent[role.group] if role.group < len(silent) else None
            # An element keeps its factors in the new order.
            factors = 1 / factors if quiet is None else (1 / factors).masked_fill(quiet[order], 0.0)
        if ordered:
            places = (order[:, None] * role.repeat + torch.arange(role.repeat)).flatten()[:kept]
            factors = factors.repeat_interleave(role.repeat)[:kept]
            part = part if bool((places.diff() == 1).all()) and kept is None else part.index_select(along, places)
        else:
            factors = torch.empty_like(factors).scatter_(0, order, factors).repeat_interleave(role.repeat)
        if bool((factors != 1).any()):
            part = part.double() * factors.view(-1, *[1] * (-along - 1))
    return part.double()
