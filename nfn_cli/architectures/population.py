"""Run a batch of chains on the same inputs, which a grouped convolution does at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.forward import CONVOLUTIONS, activate, fitted_to_flatten
from nfn_cli.architectures.weight_space import WeightSpace


def population_outputs(point: WeightSpace, inputs: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Outputs of every network of a batch on the same inputs; what `functional_forward` gives for each.

    Args:
        point: tensors [networks, *shape].
        inputs: [batch, channels, *space] for networks that start with a convolution, else [batch, features].
        stride, padding: of every convolution.

    Returns:
        [networks, batch, outputs]; a last convolution's outputs are averaged over space.

    Raises:
        ValueError: the space before a flatten has positions that no grid of equal sides gives.
    """
    architecture = point.architecture
    networks = point.tensors[architecture.tensors[0].name].shape[0]
    hidden, shared = inputs, True  # hidden: [batch, networks × channels, *space], or [batch, channels, *space] of all
    for position, layer in enumerate(architecture.layers):
        weight, bias = point.tensors[f"{layer.name}.weight"], point.tensors[f"{layer.name}.bias"]
        if layer.kind == "conv":
            if hidden.ndim == 2:
                hidden = hidden.view(*hidden.shape, *[1] * len(layer.kernel))
            groups = 1 if shared else networks
            convolve = CONVOLUTIONS[len(layer.kernel)]
            hidden = convolve(hidden, weight.flatten(0, 1), bias.flatten(), stride, padding, 1, groups)
        else:
            if hidden.ndim > 2 and math.prod(hidden.shape[2:]) != layer.spatial:
                hidden = fitted_to_flatten(hidden, layer, architecture.pool)
            rows = hidden.flatten(1)
            if shared:
                hidden = F.linear(rows, weight.flatten(0, 1), bias.flatten())
            else:
                each = rows.unflatten(1, (networks, -1)).transpose(0, 1)  # [networks, batch, features]
                hidden = torch.baddbmm(bias[:, None], each, weight.transpose(1, 2)).transpose(0, 1).flatten(1)
        shared = False
        if position < len(architecture.layers) - 1:
            hidden = activate(hidden, architecture)
    if hidden.ndim > 2:
        hidden = hidden.flatten(2).mean(2)
    return hidden.unflatten(1, (networks, -1)).transpose(0, 1)
