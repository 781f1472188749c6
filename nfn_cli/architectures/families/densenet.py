"""DenseNet as torchvision has it: every layer reads the outputs of all before it in its block.

Huang et al., https://arxiv.org/abs/1608.06993. Files from before 2018 write `norm.1` for `norm1`.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.configuration import is_timm
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import convolution, pictures
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_MOST_BLOCKS = 16
_TIMM = re.compile(r"densenet(?:121|161|169|201)(?:\..*)?")


class DenseLayer(nn.Module):
    """norm1, ReLU, conv1 (1×1), norm2, ReLU, conv2 (3×3)."""

    def __init__(self, scope: Scope, channels: int) -> None:
        super().__init__()
        self._dotted = scope.has("norm.1")
        one, two = (".1", ".2") if self._dotted else ("1", "2")
        conv1 = convolution(scope, f"conv{one}", channels, 1)
        conv2 = convolution(scope, f"conv{two}", conv1.out_channels, 3)
        norm1, norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(conv1.out_channels)
        if self._dotted:
            self.norm, self.conv = nn.ModuleDict({"1": norm1, "2": norm2}), nn.ModuleDict({"1": conv1, "2": conv2})
        else:
            self.norm1, self.conv1, self.norm2, self.conv2 = norm1, conv1, norm2, conv2
        self.growth = conv2.out_channels

    def forward(self, x: Tensor) -> Tensor:
        if self._dotted:
            norm1, norm2, conv1, conv2 = self.norm["1"], self.norm["2"], self.conv["1"], self.conv["2"]
        else:
            norm1, norm2, conv1, conv2 = self.norm1, self.norm2, self.conv1, self.conv2
        return conv2(F.relu(norm2(conv1(F.relu(norm1(x))))))


class DenseBlock(nn.ModuleDict):
    """Layers denselayer1, ..., each of which reads the block's input and what all before it wrote."""

    def __init__(self, scope: Scope, channels: int) -> None:
        layers = {}
        for number in range(1, 1 + scope.count(1, "denselayer")):
            layer = DenseLayer(scope[f"denselayer{number}"], channels)
            layers[f"denselayer{number}"] = layer
            channels += layer.growth
        super().__init__(layers)
        self.outputs = channels

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)
        return x


class Transition(nn.Module):
    """norm, ReLU, conv (1×1), a pooling of 2×2."""

    def __init__(self, scope: Scope, channels: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), convolution(scope, "conv", channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2, 2)


class DenseNet(nn.Module):
    """features.conv0 (7×7), norm0, denseblock1, transition1, ..., norm5, then the mean over space and `classifier`."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        conv0 = convolution(features, "conv0", features.size("conv0.weight", 1), 7, 2)
        channels = conv0.out_channels
        parts: dict[str, nn.Module] = {"conv0": conv0, "norm0": nn.BatchNorm2d(channels)}
        self.depths: list[int] = []
        blocks = min(features.count(1, "denseblock"), _MOST_BLOCKS)
        for number in range(1, blocks + 1):
            block = DenseBlock(features[f"denseblock{number}"], channels)
            self.depths.append(len(block))
            parts[f"denseblock{number}"], channels = block, block.outputs
            if number < blocks:
                transition = Transition(features[f"transition{number}"], channels)
                parts[f"transition{number}"], channels = transition, transition.conv.out_channels
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.ModuleDict(parts)
        self.classifier = nn.Linear(channels, scope.size("classifier.weight", rank=2))

    def forward(self, x: Tensor) -> Tensor:
        for name, part in self.features.items():
            x = part(x)
            if name == "norm0":
                x = F.max_pool2d(F.relu(x), 3, 2, 1)
        return self.classifier(F.relu(x).mean((2, 3)))


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A DenseNet by torchvision's names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in ("features.conv0.weight", "features.norm5.weight", "classifier.weight")):
        return None
    return fitted(
        NAME,
        lambda: DenseNet(Scope(shapes)),
        pictures(scope.size("features.conv0.weight", 1), 64),
        shapes,
        lambda module: f"{NAME}, blocks {', '.join(map(str, module.depths))}",  # type: ignore[arg-type, union-attr]
        ("the activation is ReLU, strides and poolings are torchvision's",),
    )


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """timm's configuration of the same network; as `Family.from_config`."""
    return from_shapes(shapes) if is_timm(config, _TIMM) else None
