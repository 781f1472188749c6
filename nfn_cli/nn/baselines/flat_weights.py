"""All weights and biases of a network as one vector: the reader that knows no symmetry at all."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights


def read_weights(point: NetworkWeights) -> list[Tensor]:
    """The tensors [batch, *shape] of a batch of networks, flattened and joined in order.

    Returns:
        One tensor, float32 [batch, parameters].
    """
    return [torch.cat([point.tensors[spec.name].flatten(1).float() for spec in point.architecture.tensors], dim=1)]
