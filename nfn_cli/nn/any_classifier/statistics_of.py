"""All that a head for any classifier reads of one network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures.read_classifier import ReadClassifier
from nfn_cli.nn.any_classifier.flow import FLOW, flow_statistics, path_sizes, path_statistics
from nfn_cli.nn.any_classifier.layer_statistics import OWN, layer_statistics
from nfn_cli.nn.any_classifier.network_statistics import ANSWERS, MOST_LAYERS, TOKEN, WHOLE, NetworkStatistics
from nfn_cli.nn.any_classifier.running import SEEN, Run, run_on_probes

_LARGEST_SIDE = 64
_MOST_CHANNELS = 4  # the pictures have one or three, and a stranger's file may ask for thousands
# A convolution in groups that would be larger without them counts as it is; its statistics may move along its orbit.
_LARGEST_WHOLE = 1 << 26


@dataclass
class _Layer:
    """A matrix of weights with what follows it."""

    name: str
    weight: Tensor
    bias: Tensor | None = None
    has_gain: bool = False


def is_run(network: ReadClassifier) -> bool:
    """Whether a network is run on probe pictures: those it takes are of at most 64 by 64 pixels and 4 channels."""
    picture = network.picture
    if network.module is None or picture is None:
        return False
    return picture[0] <= _MOST_CHANNELS and max(picture[1:]) <= _LARGEST_SIDE


@torch.no_grad()
def statistics_of(network: ReadClassifier) -> NetworkStatistics:
    """Statistics of one network, a batch of 1.

    Raises:
        RuntimeError: what its module raises on pictures of its shape.
    """
    run: Run | None = None
    if is_run(network):
        assert network.module is not None and network.picture is not None
        run = run_on_probes(network.module, network.picture)
    # Of a chain that is not run, sizes follow from its weights; they fit those into which its norms are folded. What
    # cannot be folded, such as a LayerNorm, changes sizes in a way that is not known.
    chain = network.chain if run is None else None
    folded = chain if chain is not None and chain.architecture.is_whole else None
    tensors = network.tensors if folded is None else folded.tensors
    layers = _layers(tensors)
    modules = {} if network.module is None else dict(network.module.named_modules())
    for own in layers:
        own.weight = _whole_matrix(own.weight, modules.get(own.name))
    sizes: dict[str, tuple[Tensor, Tensor]] = {}
    seen: dict[str, Tensor] = {}
    whole = torch.zeros(WHOLE).double()
    if run is not None:
        sizes = {name: (own.sizes_in, own.sizes_out) for name, own in run.layers.items()}
        seen = {name: own.seen for name, own in run.layers.items()}
    elif folded is not None:
        names = [layer.name for layer in folded.architecture.layers]
        found = path_sizes(folded)
        sizes = dict(zip(names, found, strict=True))
        whole[:2] = path_statistics(found, len(names))
    kept = _kept(len(layers))
    tokens = []
    for place in kept:
        own = layers[place]
        sees_pixels = place == 0 and _is_of_pixels(own.weight, network.picture)
        depth = place / max(1, len(layers) - 1)
        tokens.append(_token(own, sizes.get(own.name), seen.get(own.name), depth, sees_pixels=sees_pixels))
    parameters = sum(tensor.numel() for tensor in tensors.values())
    classes = len(layers[-1].weight) if run is None else run.classes
    whole[2:8] = torch.tensor(
        [
            len(layers) / 10,
            torch.tensor(float(parameters)).log().item() / 10,
            torch.tensor(float(classes)).log().item(),
            float(run is not None),
            float(chain is not None),
            float(any(own.has_gain for own in layers)),
        ]
    )
    if run is not None and network.picture is not None:
        whole[8:10] = torch.tensor([network.picture[0] / 3, network.picture[1] / 32])
    padded = torch.zeros(MOST_LAYERS, TOKEN)
    padded[: len(kept)] = torch.stack(tokens).float()
    return NetworkStatistics(
        layers=padded.nan_to_num(0.0, 0.0, 0.0)[None],
        depth=torch.tensor([len(kept)]),
        whole=whole.float().nan_to_num(0.0, 0.0, 0.0)[None],
        answers=(torch.zeros(ANSWERS) if run is None else run.answers.float())[None],
        runs=torch.tensor([run is not None]),
        classes=torch.tensor([classes]),
    )


def _kept(layers: int) -> list[int]:
    """The places of the layers that count: all, or of a deeper network so many, evenly spread from first to last."""
    if layers <= MOST_LAYERS:
        return list(range(layers))
    return [round(place * (layers - 1) / (MOST_LAYERS - 1)) for place in range(MOST_LAYERS)]


def _layers(tensors: Mapping[str, Tensor]) -> list[_Layer]:
    """The matrices of weights in their order, each with its bias, and whether a norm behind it has a gain."""
    found: list[_Layer] = []
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        if tensor.ndim >= 2 and min(tensor.shape[:2]) > 0 and last not in ("running_mean", "running_var"):
            found.append(_Layer(owner, tensor))
        elif tensor.ndim == 1 and found and len(tensor) == len(found[-1].weight):
            if owner == found[-1].name and last == "bias":
                found[-1].bias = tensor
            elif owner != found[-1].name and last == "weight":
                found[-1].has_gain = True
    return found


def _whole_matrix(weight: Tensor, conv: nn.Module | None) -> Tensor:
    """The weights of a convolution in groups as those of one without, [out, in, *kernel], zeros between the groups:
    each group's inputs have an order and scales of their own. One input a group is in no need of it."""
    if not isinstance(conv, nn.Conv1d | nn.Conv2d) or conv.groups == 1 or weight.shape[1] == 1:
        return weight
    groups = weight.chunk(conv.groups)
    if len(groups) * weight.numel() > _LARGEST_WHOLE:
        return weight
    whole = weight.new_zeros(len(weight), conv.in_channels, *weight.shape[2:])
    for number, own in enumerate(groups):
        rows, columns = number * len(own), number * own.shape[1]
        whole[rows : rows + len(own), columns : columns + own.shape[1]] = own
    return whole


def _is_of_pixels(weight: Tensor, picture: tuple[int, int, int] | None) -> bool:
    """Whether a matrix may read the pictures; a module's first one may as well be its last layer."""
    return picture is None or weight[0].numel() == math.prod(picture)


def _token(
    layer: _Layer, sizes: tuple[Tensor, Tensor] | None, seen: Tensor | None, depth: float, *, sees_pixels: bool
) -> Tensor:
    """Statistics of a layer, float64 [45]."""
    own = layer_statistics(
        layer.weight, depth, has_bias=layer.bias is not None, has_gain=layer.has_gain, sees_pixels=sees_pixels
    )
    flow = torch.zeros(FLOW).double()
    if sizes is not None and (len(sizes[1]), len(sizes[0])) == tuple(layer.weight.shape[:2]):
        flow = flow_statistics(layer.weight, layer.bias, *sizes)
    assert len(own) == OWN and len(flow) == FLOW
    return torch.cat([own, flow, torch.zeros(SEEN).double() if seen is None else seen])
