"""EfficientNet, versions 1 and 2, as torchvision has them.

Tan and Le, https://arxiv.org/abs/1905.11946 and https://arxiv.org/abs/2104.00298. Strides are in no file. All of the
library's networks begin their stages with strides 1, 2, 2, 2, 1, 2, 1; version 2 S has six stages.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import ConvNorm, Squeeze, odd_kernel, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
# Depths of the stages of those that have norms of a larger ε: B5, B6, B7. All of version 2 have.
_LARGE_EPS = {(3, 5, 5, 7, 7, 9, 3), (3, 6, 6, 8, 8, 11, 3), (4, 7, 7, 10, 10, 13, 4)}


class MBConv(nn.Module):
    """A wider 1×1 (or k×k: fused), a depthwise k×k, a squeeze, a 1×1 without activation; the input added.

    A fused block has no depthwise one and no squeeze; where it does not widen, it is one convolution with SiLU.
    """

    def __init__(self, scope: Scope, channels: int, stride: int, eps: float) -> None:
        super().__init__()
        block, wide = scope["block"], channels
        count = block.count()
        self.fused = count < 3
        layers: list[nn.Module] = []
        if self.fused:
            kernel = odd_kernel(block, "0.0")
            layers.append(first := ConvNorm(block["0"], channels, kernel, stride, function=F.silu, eps=eps))
            self.outputs = first.outputs
        else:
            if count == 4:
                layers.append(expand := ConvNorm(block["0"], channels, 1, function=F.silu, eps=eps))
                wide = expand.outputs
            here = block[str(len(layers))]
            kernel = odd_kernel(here, "0")
            layers.append(ConvNorm(here, wide, kernel, stride, function=F.silu, depthwise=True, eps=eps))
            layers.append(Squeeze(block[str(len(layers))], wide, F.silu, torch.sigmoid))
        if count > 1:
            wide = self.outputs if self.fused else wide
            layers.append(project := ConvNorm(block[str(len(layers))], wide, 1, function=None, eps=eps))
            self.outputs = project.outputs
        self.block = nn.Sequential(*layers)
        self._adds = stride == 1 and channels == self.outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self._adds else self.block(x)


class EfficientNet(nn.Module):
    """features.0, six or seven stages of blocks, a last 1×1, then the mean over space and classifier.1."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        stages = features.count() - 2
        if stages not in (6, 7):
            raise Refusal(f"it has {stages} stages, not 6 or 7, and strides are not in a file")
        self.depths = tuple(features[str(number)].count() for number in range(1, stages + 1))
        self.version = 2 if features["1"]["0"]["block"].count() < 3 else 1
        self.eps = 1e-3 if self.version == 2 or self.depths in _LARGE_EPS else 1e-5
        stem = ConvNorm(features["0"], features.size("0.0.weight", 1), 3, 2, function=F.silu, eps=self.eps)
        layers: list[nn.Module] = [stem]
        channels = stem.outputs
        for number, depth in enumerate(self.depths, start=1):
            blocks = []
            for place in range(depth):
                stride = _STRIDES[number - 1] if place == 0 else 1
                blocks.append(MBConv(features[str(number)][str(place)], channels, stride, self.eps))
                channels = blocks[-1].outputs
            layers.append(nn.Sequential(*blocks))
        last = ConvNorm(features[str(len(layers))], channels, 1, function=F.silu, eps=self.eps)
        self.features = nn.Sequential(*layers, last)
        linear = nn.Linear(last.outputs, scope.size("classifier.1.weight", rank=2))
        self.classifier = nn.ModuleDict({"1": linear})

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier["1"](self.features(x).mean((2, 3)))


def _assumptions(module: nn.Module) -> tuple[str, ...]:
    return (
        "the activation is SiLU, strides are torchvision's: they tell which blocks add their input",
        f"the norms' ε is {module.eps:g}, torchvision's for these depths",
    )


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """An EfficientNet by torchvision's names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    marks = ("features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight")
    if not all(name in scope for name in marks):
        return None
    return fitted(
        NAME,
        lambda: EfficientNet(Scope(shapes)),
        pictures(scope.size("features.0.0.weight", 1), 64),
        shapes,
        _text,
        _assumptions,
    )


def _text(module: nn.Module) -> str:
    assert isinstance(module, EfficientNet)
    return f"EfficientNet version {module.version} (torchvision), stages {', '.join(map(str, module.depths))}"
