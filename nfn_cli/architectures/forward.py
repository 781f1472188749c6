"""Run chains on inputs, from their weight space alone: one network, or a batch of them on the same inputs.

A batch is one grouped convolution, or one batched matrix product, a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.activations import FUNCTIONS
from nfn_cli.architectures.layer import Layer, Stage, StageKind
from nfn_cli.architectures.network_weights import NetworkWeights

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "tanh": torch.tanh_}
# Filters of at most so many entries are applied as a matrix product.
_FEW_ENTRIES = 64
_ADAPTIVE: dict[str, dict[int, Callable[[Tensor, int], Tensor]]] = {
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
}
# Networks run at once without gradients, and networks times inputs: what stands between the layers of more falls out of
# a processor's cache.
_NETWORKS = 16
_RUNS = 512


def functional_forward(point: NetworkWeights, inputs: Tensor, *, stride: int = 1, padding: int | None = 0) -> Tensor:
    """Outputs of one network on `inputs`.

    Args:
        point: one network, without batch axes.
        inputs, stride, padding: as in `population_forward`.

    Returns:
        [batch, outputs], or [batch, channels, *space] if the last layer is a convolution.

    Raises:
        ValueError: as `population_forward`.
    """
    alone = {name: tensor[None] for name, tensor in point.tensors.items()}
    return population_forward(NetworkWeights(point.architecture, alone), inputs, stride=stride, padding=padding)[0]


def population_forward(point: NetworkWeights, inputs: Tensor, *, stride: int = 1, padding: int | None = 0) -> Tensor:
    """Outputs of every network of a batch on the same inputs.

    Args:
        point: tensors [networks, *shape].
        inputs: [batch, channels, *space] for networks that start with a convolution, else [batch, features].
        stride, padding: of every convolution; a state dict does not hold them. None pads with as many zeros as keep,
            without strides, the size of the space.

    Returns:
        [networks, batch, outputs], or [networks, batch, channels, *space] if the last layer is a convolution.

    Norms and slopes of the architecture's stages are run where they stand, a GroupNorm as one of a single group.

    Where a flatten does not fit the space that is left, an adaptive pooling (the architecture's `pool`, average by
    default) makes it fit; for one position that is global pooling.

    Raises:
        ValueError: the space before a flatten has positions that no grid of equal sides gives, or the architecture is
            several chains.
    """
    architecture = point.architecture
    if len(architecture.starts) > 1:
        raise ValueError("several chains have no common outputs; run each of `architecture.chains`")
    if torch.is_grad_enabled():
        return _grouped(point, inputs, stride, padding)
    names = [spec.name for spec in architecture.tensors]
    parts = []
    for tensors in zip(*(point.tensors[name].split(_NETWORKS) for name in names), strict=True):
        some = NetworkWeights.of_any_widths(architecture, dict(zip(names, tensors, strict=True)))
        blocks = inputs.split(max(1, _RUNS // len(tensors[0])))
        parts.append(torch.cat([_grouped(some, block, stride, padding) for block in blocks], dim=1))
    return torch.cat(parts)


def _grouped(point: NetworkWeights, inputs: Tensor, stride: int, padding: int | None) -> Tensor:
    """All networks on all inputs at once, the channels of all networks side by side."""
    architecture = point.architecture
    networks = len(point.tensors[architecture.tensors[0].name])
    hidden = inputs  # of all networks, and from the first layer on [batch, networks × channels, *space]
    for position, layer in enumerate(architecture.layers):
        weight, bias = point.tensors[f"{layer.name}.weight"], point.tensors[f"{layer.name}.bias"]
        groups = networks if position else 1
        for stage in layer.stages:
            if stage.place == "inputs":
                # The inputs are those of all networks, whose norms may differ.
                hidden = hidden if groups > 1 else hidden.repeat(1, networks, *[1] * (hidden.ndim - 2))
                hidden, groups = _staged(hidden, stage, point), networks
        if layer.kind == "conv":
            if hidden.ndim == 2:  # a convolution behind a linear layer sees one position
                hidden = hidden.view(*hidden.shape, *[1] * len(layer.kernel))
            if padding is None:
                hidden = F.pad(hidden, [n for size in reversed(layer.kernel) for n in (size // 2, (size - 1) // 2)])
            if groups == 1 and len(layer.kernel) == 2:
                hidden = _shared_convolution(hidden, weight.flatten(0, 1), bias.flatten(), stride, padding or 0)
            else:
                convolve = _CONVOLUTIONS[len(layer.kernel)]
                hidden = convolve(hidden, weight.flatten(0, 1), bias.flatten(), stride, padding or 0, groups=groups)
        else:
            rows = _flattened(hidden, layer, architecture.pool)
            if groups == 1:
                hidden = F.linear(rows, weight.flatten(0, 1), bias.flatten())
            else:
                each = rows.unflatten(1, (networks, -1)).transpose(0, 1)  # [networks, batch, features]
                hidden = torch.baddbmm(bias[:, None], each, weight.transpose(1, 2)).transpose(0, 1).flatten(1)
        last = position == len(architecture.layers) - 1
        for stage in layer.stages:
            if stage.place == "before" and stage.kind is not StageKind.SLOPES:
                hidden = _staged(hidden, stage, point)
        if not last:
            hidden = _activate(hidden, point, position)
        for stage in layer.stages:
            if stage.place == "behind" and stage.kind is not StageKind.SLOPES:
                hidden = _staged(hidden, stage, point)
    return hidden.unflatten(1, (networks, -1)).transpose(0, 1)


def _shared_convolution(inputs: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """A two-dimensional convolution of all networks' filters on the same inputs, [batch, filters, height, width].

    With few input channels it is one matrix product, several times as fast on a CPU as what a convolution of so many
    filters is otherwise turned into. Its channels lie last in memory, and so do those of what convolutions make of
    it: grouped ones of few channels each are up to twice as fast so.
    """
    height, width = weight.shape[2:]
    rows = (inputs.shape[2] + 2 * padding - height) // stride + 1
    columns = (inputs.shape[3] + 2 * padding - width) // stride + 1
    entries = weight[0].numel()
    if inputs.device.type != "cpu" or entries > _FEW_ENTRIES or rows < 1 or columns < 1:
        return F.conv2d(inputs, weight, bias, stride, padding)
    if padding:
        inputs = F.pad(inputs, [padding] * 4)
    patches = inputs.unfold(2, height, stride).unfold(3, width, stride)  # [batch, channels, rows, columns, *kernel]
    patches = patches.permute(1, 4, 5, 0, 2, 3).reshape(entries, -1)  # in this order it copies long rows
    # The bias is one more entry, which reads a one: to copy it into the result first takes as long as the product.
    patches = torch.cat([patches, patches.new_ones(1, patches.shape[1])])
    found = patches.T @ torch.cat([weight.flatten(1), bias[:, None]], dim=1).T
    return found.unflatten(0, (-1, rows, columns)).permute(0, 3, 1, 2)


def _staged(hidden: Tensor, stage: Stage, point: NetworkWeights) -> Tensor:
    """A stage's norm of all networks, on [batch, networks × neurons, *space]."""
    scale = point.tensors[f"{stage.name}.{'scale' if stage.kind is StageKind.AFFINE else 'weight'}"]
    networks, ones = len(scale), [1] * (hidden.ndim - 2)
    if stage.kind in (StageKind.LAYER_NORM, StageKind.GROUP_NORM):
        hidden = F.group_norm(hidden, networks)  # a norm over all neurons of each network, and their positions
    hidden = hidden * scale.reshape(-1, *ones)
    shift = "shift" if stage.kind is StageKind.AFFINE else "bias" if stage.has_bias else None
    return hidden if shift is None else hidden + point.tensors[f"{stage.name}.{shift}"].reshape(-1, *ones)


def _activate(hidden: Tensor, point: NetworkWeights, position: int) -> Tensor:
    architecture = point.architecture
    for stage in architecture.layers[position].stages:
        if stage.kind is StageKind.SLOPES:
            slopes = point.tensors[f"{stage.name}.weight"].flatten()
            return F.prelu(hidden, slopes if len(slopes) == hidden.shape[1] else slopes[:1])
    if architecture.activation == "sin":
        return torch.sin(architecture.frequency(position) * hidden)
    if architecture.slope is not None and architecture.activation in ("leaky_relu", "prelu"):
        return F.leaky_relu(hidden, architecture.slope)
    if architecture.activation in _IN_PLACE and not torch.is_grad_enabled():
        # It is a layer's own output; a fresh tensor would cost as much as the layer.
        return _IN_PLACE[architecture.activation](hidden)
    return FUNCTIONS[architecture.activation](hidden)


def _flattened(hidden: Tensor, layer: Layer, pool: str | None) -> Tensor:
    if hidden.ndim == 2:
        return hidden
    dimensions = hidden.ndim - 2
    if math.prod(hidden.shape[2:]) != layer.spatial:
        side = round(layer.spatial ** (1 / dimensions))
        if side**dimensions != layer.spatial:
            raise ValueError(f"{layer.name} reads {layer.spatial} positions, which form no grid of equal sides")
        hidden = _ADAPTIVE["max" if pool == "max" else "avg"][dimensions](hidden, side)
    return hidden.flatten(1)
