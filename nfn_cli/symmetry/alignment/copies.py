"""Copies: neurons whose incoming weights are equal up to a factor. To the next layer they are like one neuron.

Only the weights that read copies show which is which. Until those can be compared, the copies are merged: the
first one gets the sum of the weights that read them, each in the first one's scale, and the others get zeros. That
leaves the function as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side


@dataclass(frozen=True)
class Copies:
    """A set of neurons that read the same.

    Attributes:
        positions: int64 [copies], ascending.
        factors: float64 [copies]; the output of each is this many times the first one's.
    """

    positions: Tensor
    factors: Tensor


def copied_places(tied: Tensor) -> list[Tensor]:
    """Sets of two or more positions that are linked by ties, directly or through others.

    Args:
        tied: bool [n, n]; whether the neuron of one network at row's place could take the other's at column's place.
    """
    near = tied | tied.T
    near.fill_diagonal_(True)
    some = (near.sum(1) > 1).nonzero()[:, 0]
    if not len(some):
        return []
    near = near[some][:, some]
    labels = torch.arange(len(some))
    while True:
        lower = torch.where(near, labels, len(some)).amin(1)
        if torch.equal(lower, labels):
            break
        labels = lower
    return [some[labels == label] for label in labels.unique()]


def merged(point: NetworkWeights, group: int, copies: Sequence[Copies]) -> NetworkWeights:
    """The network with each set of copies in a group merged into one; the rest shares memory with the old network."""
    if not copies:
        return point
    tensors = dict(point.tensors)
    for spec in point.architecture.tensors:
        for axis, role in enumerate(spec.roles):
            if (role.group, role.side) != (group, Side.IN):
                continue
            columns = tensors[spec.name].double().unflatten(axis, (-1, role.repeat)).movedim(axis, 0).clone()
            for some in copies:
                read = columns[some.positions]
                shape = (-1, *[1] * (read.ndim - 1))
                columns[some.positions] = 0
                columns[some.positions[0]] = (read * some.factors.view(shape)).sum(0)
            tensors[spec.name] = columns.movedim(0, axis).flatten(axis, axis + 1)
    return NetworkWeights(point.architecture, tensors)
