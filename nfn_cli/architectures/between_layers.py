"""What a forward pass does between two layers of a chain: the activation, and the flatten before a linear layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.activations import FUNCTIONS
from nfn_cli.architectures.architecture import Architecture
from nfn_cli.architectures.layer import Layer

_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "tanh": torch.tanh_}
_ADAPTIVE: dict[str, dict[int, Callable[[Tensor, int], Tensor]]] = {
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
}


def activated(hidden: Tensor, architecture: Architecture, position: int) -> Tensor:
    """The activation behind a layer, of its outputs, which may be overwritten where no gradients are wanted."""
    if architecture.activation == "sin":
        return torch.sin(architecture.frequency(position) * hidden)
    if architecture.slope is not None and architecture.activation in ("leaky_relu", "prelu"):
        return F.leaky_relu(hidden, architecture.slope)
    if architecture.activation in _IN_PLACE and not torch.is_grad_enabled():
        # It is a layer's own output; a fresh tensor would cost as much as the layer.
        return _IN_PLACE[architecture.activation](hidden)
    return FUNCTIONS[architecture.activation](hidden)


def flattened(hidden: Tensor, layer: Layer, pool: str | None) -> Tensor:
    """Rows [batch, features] for a linear layer, of [batch, channels, *space] or of rows.

    Raises:
        ValueError: the layer reads so many positions that no grid of equal sides has them.
    """
    if hidden.ndim == 2:
        return hidden
    dimensions = hidden.ndim - 2
    if math.prod(hidden.shape[2:]) != layer.spatial:
        side = round(layer.spatial ** (1 / dimensions))
        if side**dimensions != layer.spatial:
            raise ValueError(f"{layer.name} reads {layer.spatial} positions, which form no grid of equal sides")
        hidden = _ADAPTIVE["max" if pool == "max" else "avg"][dimensions](hidden, side)
    return hidden.flatten(1)
