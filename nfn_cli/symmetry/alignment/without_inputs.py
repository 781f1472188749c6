"""A network in which nothing feeds some neurons."""

from __future__ import annotations

from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side


def without_inputs(point: NetworkWeights, group: int, neurons: Tensor) -> NetworkWeights:
    """Set all that feeds these neurons of a group to zero; the rest shares memory with the old network."""
    if not len(neurons):
        return point
    tensors = dict(point.tensors)
    for spec in point.architecture.tensors:
        for axis, role in enumerate(spec.roles):
            if (role.group, role.side) == (group, Side.OUT):
                tensors[spec.name] = tensors[spec.name].index_fill(axis, neurons, 0)
    return NetworkWeights(point.architecture, tensors)
