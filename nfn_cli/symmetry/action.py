"""The action of a group element on a point in weight space: one loop over tensors and their axis roles."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfn_cli.architectures import AxisRole, Side, TensorSpec, WeightSpace
from nfn_cli.symmetry.element import GroupElement


def act(element: GroupElement, point: WeightSpace) -> WeightSpace:
    """g·U (arXiv 2409.11697, section 4): along every axis that lists or reads a neuron group, permute and scale.

    Args:
        element: permutations and diagonals for every neuron group, with the point's batch axes or none.
        point: tensors [*batch, *shape].

    Returns:
        A new point with the same dtypes; the arithmetic is float64.

    Raises:
        ValueError: the element is one of another architecture, or its batch axes are not the point's.
    """
    _check(element, point)
    tensors = {}
    for spec in point.architecture.tensors:
        tensor = point.tensors[spec.name]
        tensors[spec.name] = act_on_tensor(element, tensor, spec, point.architecture.omega_0).to(tensor.dtype)
    return WeightSpace(point.architecture, tensors)


def act_on_tensor(element: GroupElement, tensor: Tensor, spec: TensorSpec, omega_0: float) -> Tensor:
    """The action on one tensor [*batch, *spec.shape]; float64, or its own dtype where it is only permuted."""
    for axis, role in enumerate(spec.roles):
        if role.group is not None:
            tensor = act_along(tensor, axis - len(spec.roles), role, element, omega_0)
    return tensor


def act_on_rows(
    element: GroupElement, tensor: Tensor, spec: TensorSpec, omega_0: float, start: int, stop: int
) -> Tensor:
    """Rows `start` to `stop` of what `act_on_tensor` gives, for one network and float64 throughout."""
    first, *others = spec.roles
    if first.side is Side.IN:
        return act_on_tensor(element, tensor, spec, omega_0)[start:stop]
    rows = tensor[start:stop]
    if first.group is not None:
        # On its own axis a row is taken from where the permutation says; what is left is to scale and shift it.
        order, diagonal, turns = (
            parts[first.group] for parts in (element.permutations, element.diagonals, element.turns)
        )
        rows = tensor.index_select(0, order[start:stop])
    part = rows  # permuting comes before float64, which is twice as large
    for axis, role in enumerate(others, start=1):
        if role.group is not None:
            part = act_along(part, axis - len(spec.roles), role, element, omega_0)
    part = part.double()
    if first.side is Side.OUT:
        shape = (-1, *[1] * len(others))
        part = part * diagonal[start:stop].view(shape)
        if first.bias and bool(turns.any()):
            part = part + turns[start:stop].double().view(shape) * (math.pi / omega_0)
    return part


def _check(element: GroupElement, point: WeightSpace) -> None:
    # A permutation of fewer neurons than there are would cut the others off without an error.
    sizes = [group.size for group in point.architecture.groups]
    for parts in (element.permutations, element.diagonals):
        if [part.shape[-1] for part in parts] != sizes:
            raise ValueError(f"an element of groups {[part.shape[-1] for part in parts]} cannot act on groups {sizes}")
    spec = point.architecture.tensors[0]
    tensor = point.tensors[spec.name]
    batch = tensor.shape[: tensor.ndim - len(spec.shape)]
    for part in (*element.permutations, *element.diagonals):
        if part.shape[:-1] not in ((), batch):
            raise ValueError(f"an element of batch {tuple(part.shape[:-1])} cannot act on a batch {tuple(batch)}")


def act_along(tensor: Tensor, axis: int, role: AxisRole, element: GroupElement, omega_0: float = 1.0) -> Tensor:
    """The part of the action on one axis that belongs to a group.

    Args:
        tensor: [*batch, *shape], any dtype.
        axis: counted from the end, so negative.
        omega_0: of a sine, to which half-turns of phase refer.

    Returns:
        float64, or the tensor's own dtype where it is only permuted.
    """
    assert role.group is not None
    group = role.group
    order = element.permutations[group]
    permutation = _along(order, tensor, axis, role.repeat, listing=True)
    if order.ndim == 1:  # one element for all: much faster than looking every entry up
        permuted = tensor.index_select(axis, permutation.flatten())
    else:
        permuted = torch.take_along_dim(tensor, permutation, dim=axis)
    if role.side is Side.INDEX:
        return permuted
    if role.side is Side.IN:
        return permuted.double() / _along(element.factors[group], tensor, axis, role.repeat)
    scaled = permuted.double() * _along(element.diagonals[group], tensor, axis, role.repeat)
    turns = element.turns[group]
    if role.bias and bool(turns.any()):
        scaled = scaled + _along(turns.double(), tensor, axis, role.repeat) * (math.pi / omega_0)
    return scaled


def _along(values: Tensor, tensor: Tensor, axis: int, repeat: int, *, listing: bool = False) -> Tensor:
    """Values [*batch, n] of neurons, repeated for a flattened axis, in a shape that broadcasts along that axis.

    With `listing`, the values are places of neurons and become places of their entries.
    """
    if repeat > 1:
        if listing:
            values = (values[..., None] * repeat + torch.arange(repeat, device=values.device)).flatten(-2)
        else:
            values = values.repeat_interleave(repeat, dim=-1)
    # Trailing axes of size one line the neurons up with `axis`; leading ones stand for batch axes and broadcast.
    leading = tensor.ndim + axis - values.ndim + 1
    return values.reshape(*values.shape[:-1], *(1,) * leading, values.shape[-1], *(1,) * (-axis - 1))
