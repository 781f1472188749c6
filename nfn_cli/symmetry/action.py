"""The action of a group element on a point in weight space: one loop over tensors and their axis roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side, TensorSpec
from nfn_cli.symmetry.axis_action import AxisAction
from nfn_cli.symmetry.element import GroupElement


def act(element: GroupElement, point: NetworkWeights) -> NetworkWeights:
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
        tensors[spec.name] = act_on_tensor(element, tensor, spec, point.architecture.omegas_of_groups).to(tensor.dtype)
    return NetworkWeights(point.architecture, tensors)


def act_on_tensor(element: GroupElement, tensor: Tensor, spec: TensorSpec, omegas: Sequence[float]) -> Tensor:
    """The action on one tensor [*batch, *spec.shape]; float64, or its own dtype where it is only permuted."""
    for axis, role in enumerate(spec.roles):
        if role.group is not None:
            action = AxisAction.of(axis - len(spec.roles), role, element, omegas, tensor.ndim)
            tensor = action.scaled(action.permuted(tensor))
    return tensor


def acted_rows(
    element: GroupElement, tensor: Tensor, spec: TensorSpec, omegas: Sequence[float], count: int
) -> Iterator[Tensor]:
    """The same as `act_on_tensor` for one network, `count` rows at a time and always in float64."""
    if spec.roles[0].side is Side.IN:
        yield from act_on_tensor(element, tensor, spec, omegas).double().split(count)
        return
    own, *others = (
        None if role.group is None else AxisAction.of(axis - len(spec.roles), role, element, omegas, tensor.ndim)
        for axis, role in enumerate(spec.roles)
    )
    for start in range(0, len(tensor), count):
        stop = start + count
        here = own if own is None or count >= len(tensor) else own.part(start, stop)
        # The rows come in their new order already; along the first axis they are only scaled and shifted.
        rows = tensor[start:stop] if here is None else tensor.index_select(0, here.positions.flatten())
        for action in others:
            if action is not None:  # permuting comes before float64, which is twice as large
                rows = action.scaled(action.permuted(rows))
        yield rows.double() if here is None else here.scaled(rows).double()


def _check(element: GroupElement, point: NetworkWeights) -> None:
    # A permutation of fewer neurons than there are would cut the others off without an error.
    sizes = [group.size for group in point.architecture.groups]
    for parts in (element.permutations, element.diagonals):
        if [part.shape[-1] for part in parts] != sizes:
            raise ValueError(f"an element of groups {[part.shape[-1] for part in parts]} cannot act on groups {sizes}")
    spec = point.architecture.first_tensor
    tensor = point.tensors[spec.name]
    batch = tensor.shape[: tensor.ndim - len(spec.shape)]
    for part in (*element.permutations, *element.diagonals):
        if part.shape[:-1] not in ((), batch):
            raise ValueError(f"an element of batch {tuple(part.shape[:-1])} cannot act on a batch {tuple(batch)}")
