"""A neuron group as rows: what each of its neurons reads, or what reads it, in float64 and a few rows at a time.

A network of a gigabyte must not become two in float64, so nothing here holds more than a chunk of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import Side, TensorSpec, WeightSpace
from nfn_cli.symmetry.action import act_along
from nfn_cli.symmetry.element import GroupElement

_CHUNK = 1 << 22  # numbers held in float64 at once


def neuron_rows(
    point: WeightSpace,
    group: int,
    side: Side,
    element: GroupElement,
    silent: Sequence[Tensor | None] = (),
    neurons: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The weights on one side of a group's neurons, as the other groups' parts of `element` leave them.

    Args:
        point: one network, without batch axes.
        side: OUT for the weights and bias that feed a neuron, IN for the weights that read it.
        element: its part for `group` itself is not applied.
        silent: per group, which neurons (in their order in `point`) always put out zero; weights that read them count
            as zero. None, and groups beyond the end, have no such neurons.
        neurons: which neurons, in this order; all by default.

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
            (_moved(point.tensors[spec.name], spec, axis, some, element, silent), bias) for spec, axis, bias in parts
        ]
        weights = [values.flatten(1) for values, bias in moved if not bias]
        biases = [values[:, 0] for values, bias in moved if bias]
        yield some, torch.cat(weights, dim=1), sum(biases[1:], biases[0]) if biases else None


def _moved(
    tensor: Tensor,
    spec: TensorSpec,
    axis: int,
    neurons: Tensor,
    element: GroupElement,
    silent: Sequence[Tensor | None],
) -> Tensor:
    """The neurons' part of a tensor, [neurons, repeat, other axes], with every other group's axis acted on."""
    own = spec.roles[axis]
    part = tensor.unflatten(axis, (-1, own.repeat)).movedim((axis, axis + 1), (0, 1))
    part = part.index_select(0, neurons).double()
    others = [role for place, role in enumerate(spec.roles) if place != axis]
    for place, role in enumerate(others):
        if role.group is None:
            continue
        quiet = silent[role.group] if role.group < len(silent) else None
        if quiet is not None and role.side is Side.IN:
            mask = quiet.repeat_interleave(role.repeat).view(-1, *[1] * (len(others) - place - 1))
            part = part.masked_fill(mask, 0.0)
        part = act_along(part, place - len(others), role, element)
    return part
