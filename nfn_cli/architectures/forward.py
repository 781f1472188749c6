"""Run a chain on inputs, from its weight space alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.activations import FUNCTIONS
from nfn_cli.architectures.architecture import Architecture
from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.weight_space import WeightSpace

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_ADAPTIVE: dict[str, dict[int, Callable[[Tensor, int], Tensor]]] = {
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
}


def functional_forward(point: WeightSpace, inputs: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Outputs of the network on `inputs`.

    Args:
        point: one network, without batch axes.
        inputs: [batch, channels, *space] for a network that starts with a convolution, else [batch, features].
        stride, padding: of every convolution; a state dict does not hold them.

    Returns:
        [batch, outputs], or [batch, channels, *space] if the last layer is a convolution.

    Where a flatten does not fit the space that is left, an adaptive pooling (the architecture's `pool`, average by
    default) makes it fit; for one position that is global pooling.

    Raises:
        ValueError: the space before a flatten has positions that no grid of equal sides gives.
    """
    architecture = point.architecture
    hidden = inputs
    for position, layer in enumerate(architecture.layers):
        weight, bias = point.tensors[f"{layer.name}.weight"], point.tensors[f"{layer.name}.bias"]
        if layer.kind == "conv":
            if hidden.ndim == 2:  # a convolution behind a linear layer sees one position
                hidden = hidden.view(*hidden.shape, *[1] * len(layer.kernel))
            hidden = CONVOLUTIONS[len(layer.kernel)](hidden, weight, bias, stride, padding)
        else:
            hidden = F.linear(_flattened(hidden, layer, architecture.pool), weight, bias)
        if position < len(architecture.layers) - 1:
            hidden = activate(hidden, architecture)
    return hidden


def activate(hidden: Tensor, architecture: Architecture) -> Tensor:
    """What stands behind every layer but the last."""
    if architecture.activation == "sin":
        return torch.sin(architecture.omega_0 * hidden)
    return FUNCTIONS[architecture.activation](hidden)


def _flattened(hidden: Tensor, layer: Layer, pool: str | None) -> Tensor:
    if hidden.ndim == 2:
        return hidden
    if math.prod(hidden.shape[2:]) != layer.spatial:
        hidden = fitted_to_flatten(hidden, layer, pool)
    return hidden.flatten(1)


def fitted_to_flatten(hidden: Tensor, layer: Layer, pool: str | None) -> Tensor:
    """Pool [batch, channels, *space] to the positions that the layer behind a flatten reads.

    Raises:
        ValueError: these form no grid of equal sides.
    """
    dimensions = hidden.ndim - 2
    side = round(layer.spatial ** (1 / dimensions))
    if side**dimensions != layer.spatial:
        raise ValueError(f"{layer.name} reads {layer.spatial} positions, which form no grid of equal sides")
    return _ADAPTIVE["max" if pool == "max" else "avg"][dimensions](hidden, side)
