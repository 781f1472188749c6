"""A chain of layers as a classifier of pictures: whether it may be one, its tensors in order, and how it is run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nfn_cli.architectures.forward import functional_forward
from nfn_cli.architectures.network_weights import NetworkWeights
from nfn_cli.architectures.no_classifier import flat_picture, why_no_classifier
from nfn_cli.architectures.read import ReadNetwork
from nfn_cli.errors import ArchitectureError

_REMEDY = "give a classifier of pictures; or its module: --model FILE.py:FACTORY"


class ChainModule(nn.Module):
    """A chain of linear layers, from pictures [batch, *picture] to logits [batch, outputs].

    Args:
        weights: one network, [*shape].
        picture: channels, height and width, whose product is what the first layer reads.
    """

    def __init__(self, weights: NetworkWeights, picture: tuple[int, int, int]) -> None:
        super().__init__()
        self.picture = picture
        tensors = {name: tensor.float() for name, tensor in weights.tensors.items()}
        self._weights = NetworkWeights(weights.architecture, tensors)

    def forward(self, pictures: Tensor) -> Tensor:
        return functional_forward(self._weights, pictures.flatten(1))


def require_classifier(network: ReadNetwork, shape: tuple[int, ...] | None = None) -> None:
    """Check that a chain may be a classifier of pictures.

    Args:
        shape: of one picture, where the user states it.

    Raises:
        ArchitectureError: it is none, or may be several networks.
    """
    architecture = network.weights.architecture
    if len(architecture.starts) > 1:
        cause = f"it may be more than one chain of layers: {network.plan.doubts[0]}"
        remedy = "if it is one, say so in a file beside it (chain: true); or give its module: --model FILE.py:FACTORY"
        raise ArchitectureError(network.path, cause, remedy)
    reason = why_no_classifier(architecture, shape)
    if reason is None:
        if shape is not None:
            _require_shape(network, shape)
        return
    stated = shape is None and why_no_classifier(architecture, (architecture.layers[0].in_features,)) is None
    remedy = f"state the shape of its pictures: --input-shape; or {_REMEDY}" if stated else _REMEDY
    raise ArchitectureError(network.path, f"no classifier of pictures: {reason}", remedy)


def _require_shape(network: ReadNetwork, shape: tuple[int, ...]) -> None:
    """Check that the first layer reads pictures of the shape that is stated.

    Raises:
        ArchitectureError: it does not.
    """
    first = network.weights.architecture.layers[0]
    if first.kind == "linear":
        reads, stated, what = first.in_features, math.prod(shape), "numbers"
    else:
        picture = flat_picture(shape[0]) if len(shape) == 1 else shape if len(shape) == 3 else None
        reads, stated, what = first.in_features, 1 if picture is None else picture[0], "channels"
    if reads != stated:
        cause = f"its first layer, {first.name}, reads {reads:,} {what if reads > 1 else what[:-1]}, not {stated:,}"
        raise ArchitectureError(network.path, cause, "give the shape of its pictures: --input-shape")


def assumed_picture(network: ReadNetwork, shape: tuple[int, ...] | None) -> str | None:
    """What pictures a chain is taken to read, in a few words, where a row of numbers is all that its first layer shows;
    None where they are stated, or the layer shows their channels.

    Args:
        shape: of one picture, where the user gives it.
    """
    first = network.weights.architecture.layers[0]
    picture = flat_picture(first.in_features) if first.kind == "linear" and shape is None else None
    return None if picture is None else f"pictures of {'x'.join(map(str, picture))}"


def chain_module(network: ReadNetwork, shape: tuple[int, ...] | None) -> ChainModule | None:
    """How a chain is run, where nothing of it is assumed; else None.

    That is a chain of linear layers that is stated to be one, whose activation is stated, for pictures of a shape that
    is stated. Strides, poolings and the place of norms are in no file.

    Args:
        shape: of one picture, where the user gives it.
    """
    architecture = network.weights.architecture
    is_plain = architecture.is_whole and all(
        layer.kind == "linear" and layer.spatial == 1 for layer in architecture.layers
    )
    is_known = network.is_stated and network.activation.source != "assumed" and not network.norms
    if not (is_plain and is_known) or network.plan.left or shape is None or len(shape) != 3:
        return None
    channels, height, width = shape
    return ChainModule(network.weights, (channels, height, width)).eval()


def chain_tensors(network: ReadNetwork) -> dict[str, Tensor]:
    """The tensors of a chain as they are in its file, in order of depth: a layer's, then those of the norms behind it.

    A layer under weight normalisation has the weight that it computes with. Names are those of layers and norms.
    """
    found: dict[str, Tensor | None] = {}
    for layer, module in zip(network.weights.architecture.layers, network.modules, strict=True):
        found |= {f"{layer.name}.weight": module.weight, f"{layer.name}.bias": module.bias}
        norms = [network.norms[layer.name]] if layer.name in network.norms else []
        for norm in [*norms, *(network.stages[stage.name] for stage in layer.stages)]:
            found |= {f"{norm.name}.weight": norm.weight, f"{norm.name}.bias": norm.bias}
            for part, name in (("mean", "running_mean"), ("variance", "running_var")):
                found[f"{norm.name}.{name}"] = getattr(norm, part, None)
    return {
        name: tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        for name, tensor in found.items()
        if tensor is not None
    }
