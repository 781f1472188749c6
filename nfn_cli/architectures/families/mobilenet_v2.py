"""MobileNetV2 as torchvision has it.

Sandler et al., https://arxiv.org/abs/1801.04381. A block adds its input where its stride is 1 and its widths agree. No
shape tells a stride, so that only the library's own 17 blocks are known, of any width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import ConvNorm, convolution, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
# Of the 17 blocks.
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)


class Inverted(nn.Module):
    """A wider 1×1 (not in the first block), a depthwise 3×3, both with ReLU6; a 1×1 without; the input added."""

    def __init__(self, scope: Scope, channels: int, stride: int, expands: bool) -> None:
        super().__init__()
        conv, wide = scope["conv"], channels
        layers: dict[str, nn.Module] = {}
        if expands:
            layers["0"] = expand = ConvNorm(conv["0"], channels, 1, function=F.relu6)
            wide = expand.outputs
        place = len(layers)
        layers[str(place)] = ConvNorm(conv[str(place)], wide, 3, stride, function=F.relu6, depthwise=True)
        project = convolution(conv, str(place + 1), wide, 1)
        self.outputs = project.out_channels
        layers[str(place + 1)], layers[str(place + 2)] = project, nn.BatchNorm2d(self.outputs)
        self.conv = nn.Sequential(*layers.values())
        self._adds = stride == 1 and channels == self.outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self._adds else self.conv(x)


class MobileNetV2(nn.Module):
    """features.0, 17 blocks, features.18, then the mean over space and classifier.1."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        if features.count() != len(_STRIDES) + 2:
            raise Refusal(f"it has {features.count() - 2} blocks, not {len(_STRIDES)}, and strides are not in a file")
        stem = ConvNorm(features["0"], features.size("0.0.weight", 1), 3, 2, function=F.relu6)
        layers: list[nn.Module] = [stem]
        channels = stem.outputs
        for number, stride in enumerate(_STRIDES, start=1):
            block = Inverted(features[str(number)], channels, stride, number > 1)
            layers.append(block)
            channels = block.outputs
        last = ConvNorm(features[str(len(layers))], channels, 1, function=F.relu6)
        self.features = nn.Sequential(*layers, last)
        linear = nn.Linear(last.outputs, scope.size("classifier.1.weight", rank=2))
        self.classifier = nn.ModuleDict({"1": linear})

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier["1"](self.features(x).mean((2, 3)))


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A MobileNetV2 by torchvision's names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in ("features.0.0.weight", "features.1.conv.0.0.weight", "classifier.1.weight")):
        return None
    return fitted(
        NAME,
        lambda: MobileNetV2(Scope(shapes)),
        pictures(scope.size("features.0.0.weight", 1), 64),
        shapes,
        f"{NAME}, {len(_STRIDES)} blocks",
        ("the activation is ReLU6, strides are torchvision's: they tell which blocks add their input",),
    )
