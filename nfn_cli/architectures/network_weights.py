"""A point in weight space: an architecture and its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures.architecture import Architecture


@dataclass(frozen=True)
class NetworkWeights:
    """One network's weights, or a batch of networks of one architecture.

    `tensors` has a tensor [*batch, *shape] for every `TensorSpec` of the architecture, by its name.
    """

    architecture: Architecture
    tensors: Mapping[str, Tensor]


def stack(points: Sequence[NetworkWeights]) -> NetworkWeights:
    """Networks of one signature as a batch; names and architecture are the first one's.

    Raises:
        ValueError: the signatures differ, or there is none.
    """
    if len({point.architecture.signature for point in points}) != 1:
        raise ValueError("only networks of one signature form a batch")
    first = points[0].architecture
    own_names = [[spec.name for spec in point.architecture.tensors] for point in points]
    return NetworkWeights(
        first,
        {
            spec.name: torch.stack([point.tensors[names[i]] for point, names in zip(points, own_names, strict=True)])
            for i, spec in enumerate(first.tensors)
        },
    )
