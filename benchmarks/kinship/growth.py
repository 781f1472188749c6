"""Networks with one layer more that compute what they computed, or nearly: a start for a grown child's training."""

from __future__ import annotations

import json
import re

import torch
from networks import Cnn, ResNet, language_model
from torch import nn

_LAYER = re.compile(r"(.*\.(?:h|layers)\.)(\d+)(\..*)")


def grown(network: nn.Module) -> nn.Module:
    """A network with one layer more.

    A language model has its last layer twice, a CNN has a convolution that is the identity behind the second one, and
    a ResNet has a block more whose branch is zero at the end of its last stage.
    """
    if isinstance(network, Cnn):
        return _grown_cnn(network)
    if isinstance(network, ResNet):
        return _grown_resnet(network)
    return _grown_language_model(network)


def _grown_cnn(network: Cnn) -> nn.Module:
    own = [getattr(network, f"conv{number + 1}") for number in range(network.depth)]
    widths = [layer.out_channels for layer in own]
    strides = [layer.stride[0] for layer in own]
    widths.insert(2, widths[1])
    strides.insert(2, 1)
    found = Cnn(own[0].in_channels, tuple(widths), network.fc.out_features, tuple(strides))
    identity = nn.Conv2d(widths[1], widths[1], 3, 1, 1)
    nn.init.dirac_(identity.weight)
    nn.init.zeros_(identity.bias)  # type: ignore[arg-type]
    own.insert(2, identity)
    for number, layer in enumerate(own):
        getattr(found, f"conv{number + 1}").load_state_dict(layer.state_dict())
    found.fc.load_state_dict(network.fc.state_dict())
    return found


def _grown_resnet(network: ResNet) -> nn.Module:
    stages = [getattr(network, f"layer{number + 1}") for number in range(network.stages)]
    widths = tuple(stage[-1].conv2.out_channels for stage in stages)
    blocks = [len(stage) for stage in stages]
    blocks[-1] += 1
    found = ResNet(network.conv1.in_channels, widths, tuple(blocks), network.linear.out_features)
    state = found.state_dict() | network.state_dict()
    new = f"layer{network.stages}.{blocks[-1] - 1}.bn2.weight"
    state[new] = torch.zeros_like(state[new])
    found.load_state_dict(state)
    return found


def _grown_language_model(network: nn.Module) -> nn.Module:
    config = json.loads(network.config.to_json_string(use_diff=False))  # type: ignore[operator,union-attr]
    config["n_layer" if config["model_type"] == "gpt2" else "num_hidden_layers"] += 1
    if config.get("layer_types"):
        config["layer_types"].append(config["layer_types"][-1])
    found = language_model(config)
    old, state = network.state_dict(), found.state_dict()
    for name in state:
        match = _LAYER.match(name)
        last = name not in old and match is not None
        state[name] = old[f"{match[1]}{int(match[2]) - 1}{match[3]}" if last and match else name]
    found.load_state_dict(state)
    return found
