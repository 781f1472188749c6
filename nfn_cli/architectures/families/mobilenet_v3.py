"""MobileNetV3, large and small, as torchvision has them.

Howard et al., https://arxiv.org/abs/1905.02244. Strides and activations are in no file: they are the library's, of its
15 and its 11 blocks, of any width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import ConvNorm, Squeeze, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_EPS = 1e-3


@dataclass(frozen=True)
class _Plan:
    """Of each block: its kernel, whether it has a squeeze, whether its activation is hard swish, its stride."""

    kernels: str
    squeezes: str
    swishes: str
    strides: str


_PLANS = {
    15: ("large", _Plan("333555333333555", "000111000011111", "000000111111111", "121211211111211")),
    11: ("small", _Plan("33355555555", "10011111111", "00011111111", "22121111211")),
}


class Inverted(nn.Module):
    """A wider 1×1 (unless the width stays), a depthwise one, a squeeze, a 1×1 without activation; the input added."""

    def __init__(self, scope: Scope, channels: int, kernel: int, squeezes: bool, swishes: bool, stride: int) -> None:
        super().__init__()
        block, wide = scope["block"], channels
        function = F.hardswish if swishes else F.relu
        layers: list[nn.Module] = []
        if block.count() == 3 + squeezes:
            expand = ConvNorm(block["0"], channels, 1, function=function, eps=_EPS)
            layers.append(expand)
            wide = expand.outputs
        here = block[str(len(layers))]
        layers.append(ConvNorm(here, wide, kernel, stride, function=function, depthwise=True, eps=_EPS))
        if squeezes:
            layers.append(Squeeze(block[str(len(layers))], wide, F.relu, F.hardsigmoid))
        project = ConvNorm(block[str(len(layers))], wide, 1, function=None, eps=_EPS)
        self.block, self.outputs = nn.Sequential(*layers, project), project.outputs
        self._adds = stride == 1 and channels == self.outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self._adds else self.block(x)


class MobileNetV3(nn.Module):
    """features.0, the blocks, a last 1×1, then the mean over space, classifier.0, hard swish, classifier.3."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        blocks = features.count() - 2
        if blocks not in _PLANS:
            raise Refusal(f"it has {blocks} blocks, not 15 or 11, and strides are not in a file")
        self.size, plan = _PLANS[blocks]
        stem = ConvNorm(features["0"], features.size("0.0.weight", 1), 3, 2, function=F.hardswish, eps=_EPS)
        layers: list[nn.Module] = [stem]
        channels = stem.outputs
        rows = zip(plan.kernels, plan.squeezes, plan.swishes, plan.strides, strict=True)
        for number, (kernel, squeezes, swishes, stride) in enumerate(rows, start=1):
            here = features[str(number)]
            block = Inverted(here, channels, int(kernel), squeezes == "1", swishes == "1", int(stride))
            layers.append(block)
            channels = block.outputs
        last = ConvNorm(features[str(len(layers))], channels, 1, function=F.hardswish, eps=_EPS)
        self.features = nn.Sequential(*layers, last)
        hidden = scope.size("classifier.0.weight", rank=2)
        head = nn.Linear(hidden, scope.size("classifier.3.weight", rank=2))
        self.classifier = nn.ModuleDict({"0": nn.Linear(last.outputs, hidden), "3": head})

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).mean((2, 3))
        return self.classifier["3"](F.hardswish(self.classifier["0"](x)))


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A MobileNetV3 by torchvision's names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    marks = ("features.0.0.weight", "features.1.block.0.0.weight", "classifier.0.weight", "classifier.3.weight")
    if not all(name in scope for name in marks):
        return None
    return fitted(
        NAME,
        lambda: MobileNetV3(Scope(shapes)),
        pictures(scope.size("features.0.0.weight", 1), 64),
        shapes,
        lambda module: f"MobileNetV3 {module.size} (torchvision)",
        (
            "activations are torchvision's ReLU and hard swish of each block, strides are its own: they tell which "
            "blocks add their input; the norms' ε is 0.001",
        ),
    )
