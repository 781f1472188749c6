"""The unit scale of a whole batch of networks: the incoming weights and bias of each hidden neuron get the norm 1.

The `unit` form of `normal_form` without its signs, phases and order, which need one network at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side, TensorSpec
from nfn_cli.symmetry.diagonal_kinds import group_kind


def unit_scaled(point: NetworkWeights) -> NetworkWeights:
    """Scale every neuron's incoming weights and bias to a joint norm of 1; the weights that read it take the factor.

    Args:
        point: tensors [*batch, *shape].

    Returns:
        The same functions in float64; along an orbit the result changes by permutations and signs alone. Groups that
        allow no scaling stay as they are, as do neurons that nothing feeds.
    """
    specs = point.architecture.tensors
    tensors = {spec.name: point.tensors[spec.name].double() for spec in specs}
    for group in range(len(point.architecture.groups)):
        if not group_kind(point.architecture, group).is_scaled:
            continue
        listing = _axes(specs, group, Side.OUT)
        # Divided by the largest entry first: squares of very small weights leave the range of float64.
        largest = torch.stack([_reduced(tensors[spec.name].abs(), spec, axis, "max") for spec, axis in listing]).amax(0)
        largest = torch.where(largest > 0, largest, 1.0)
        squares = [
            _reduced((tensors[spec.name] / _shaped(largest, spec, axis)).square(), spec, axis, "sum")
            for spec, axis in listing
        ]
        norms = torch.stack(squares).sum(0).sqrt() * largest
        norms = torch.where(norms > 0, norms, 1.0)
        for spec, axis in listing:
            tensors[spec.name] = tensors[spec.name] / _shaped(norms, spec, axis)
        for spec, axis in _axes(specs, group, Side.IN):
            tensors[spec.name] = tensors[spec.name] * _shaped(norms, spec, axis)
    return NetworkWeights(point.architecture, tensors)


def _axes(specs: Sequence[TensorSpec], group: int, side: Side) -> list[tuple[TensorSpec, int]]:
    """The tensors with an axis on this side of a group, and that axis, counted from the end."""
    return [
        (spec, axis - len(spec.roles))
        for spec in specs
        for axis, role in enumerate(spec.roles)
        if role.group == group and role.side is side
    ]


def _reduced(values: Tensor, spec: TensorSpec, axis: int, how: Literal["max", "sum"]) -> Tensor:
    """Reduce all axes of a tensor but its batch axes and one."""
    others = [other for other in range(-len(spec.roles), 0) if other != axis]
    if not others:
        return values
    return values.amax(others) if how == "max" else values.sum(others)


def _shaped(values: Tensor, spec: TensorSpec, axis: int) -> Tensor:
    """Values [*batch, neurons] in the shape that broadcasts along an axis."""
    repeat = spec.roles[axis].repeat
    values = values.repeat_interleave(repeat, dim=-1) if repeat > 1 else values
    before, after = len(spec.roles) + axis, -axis - 1
    return values.reshape(*values.shape[:-1], *(1,) * before, values.shape[-1], *(1,) * after)
