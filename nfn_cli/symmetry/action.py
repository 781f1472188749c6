"""The action of a group element on a point in weight space: one loop over tensors and their axis roles."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import AxisRole, Side, WeightSpace
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
        dtype = tensor.dtype
        for axis, role in enumerate(spec.roles):
            if role.group is not None:
                tensor = _act_along(tensor, axis - len(spec.roles), role, element)
        tensors[spec.name] = tensor.to(dtype)
    return WeightSpace(point.architecture, tensors)


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


def _act_along(tensor: Tensor, axis: int, role: AxisRole, element: GroupElement) -> Tensor:
    assert role.group is not None
    permutation, diagonal = element.permutations[role.group], element.diagonals[role.group]
    if role.repeat > 1:
        offsets = torch.arange(role.repeat, device=permutation.device)
        permutation = (permutation[..., None] * role.repeat + offsets).flatten(-2)
        diagonal = diagonal.repeat_interleave(role.repeat, dim=-1)
    # Trailing axes of size one line the neurons up with `axis`; leading ones stand for batch axes and broadcast.
    trailing = (1,) * (-axis - 1)
    leading = tensor.ndim + axis - permutation.ndim + 1
    shape = (*permutation.shape[:-1], *(1,) * leading, permutation.shape[-1], *trailing)
    permuted = torch.take_along_dim(tensor, permutation.reshape(shape), dim=axis)
    if role.side is Side.INDEX:
        return permuted
    scale = diagonal.reshape(shape)
    return permuted.double() * scale if role.side is Side.OUT else permuted.double() / scale
