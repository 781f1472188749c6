"""The U-Net by the names inc.double_conv, down1.maxpool_conv, up1.conv, outc.conv.

Ronneberger et al., https://arxiv.org/abs/1505.04597. Each way up reads what the way down wrote on its level, then what
comes from below, one behind the other. A transposed convolution `up1.up` in the file, or else bilinear interpolation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import convolution, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_MOST_LEVELS = 8


class DoubleConv(nn.Module):
    """Twice a convolution 3×3, a BatchNorm and ReLU."""

    def __init__(self, scope: Scope, channels: int) -> None:
        super().__init__()
        here = scope["double_conv"]
        biases = "0.bias" in here
        first = convolution(here, "0", channels, 3, bias=biases)
        second = convolution(here, "3", first.out_channels, 3, bias=biases)
        self.outputs = second.out_channels
        norms = nn.BatchNorm2d(first.out_channels), nn.BatchNorm2d(self.outputs)
        self.double_conv = nn.ModuleDict({"0": first, "1": norms[0], "3": second, "4": norms[1]})

    def forward(self, x: Tensor) -> Tensor:
        layers = self.double_conv
        x = F.relu(layers["1"](layers["0"](x)))
        return F.relu(layers["4"](layers["3"](x)))


class Down(nn.Module):
    """A pooling of 2×2, then maxpool_conv.1."""

    def __init__(self, scope: Scope, channels: int) -> None:
        super().__init__()
        convolutions = DoubleConv(scope["maxpool_conv"]["1"], channels)
        self.maxpool_conv, self.outputs = nn.ModuleDict({"1": convolutions}), convolutions.outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv["1"](F.max_pool2d(x, 2))


class Up(nn.Module):
    """Twice the size, what the way down wrote put in front, then `conv`."""

    def __init__(self, scope: Scope, channels: int, beside: int) -> None:
        super().__init__()
        self._transposed = scope.has("up")
        if self._transposed:
            outputs = scope.size("up.weight", 1)
            self.up = nn.ConvTranspose2d(channels, outputs, 2, 2)
            channels = outputs
        self.conv = DoubleConv(scope["conv"], beside + channels)
        self.outputs = self.conv.outputs

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = self.up(x) if self._transposed else _twice(x)
        rows, columns = beside.shape[2] - x.shape[2], beside.shape[3] - x.shape[3]
        if rows or columns:
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return self.conv(torch.cat([beside, x], 1))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class UNet(nn.Module):
    """inc, down1, down2, ..., up1, up2, ..., outc."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.levels = min(scope.count(1, "down"), _MOST_LEVELS)
        ways = {scope[f"up{number}"].has("up") for number in range(1, self.levels + 1)}
        if len(ways) != 1:
            raise Refusal("some of its ways up have transposed convolutions and some have not")
        self.transposed = ways.pop()
        self.inc = DoubleConv(scope["inc"], scope.size("inc.double_conv.0.weight", 1))
        widths = [self.inc.outputs]
        for number in range(1, self.levels + 1):
            down = Down(scope[f"down{number}"], widths[-1])
            widths.append(down.outputs)
            setattr(self, f"down{number}", down)
        channels = widths.pop()
        for number in range(1, self.levels + 1):
            up = Up(scope[f"up{number}"], channels, widths.pop())
            channels = up.outputs
            setattr(self, f"up{number}", up)
        head = convolution(scope["outc"], "conv", channels, 1, bias=True)
        self.outc = nn.ModuleDict({"conv": head})

    def forward(self, x: Tensor) -> Tensor:
        x = self.inc(x)
        beside = []
        for number in range(1, self.levels + 1):
            beside.append(x)
            x = getattr(self, f"down{number}")(x)
        for number in range(1, self.levels + 1):
            x = getattr(self, f"up{number}")(x, beside.pop())
        return self.outc["conv"](x)


def _text(module: nn.Module) -> str:
    assert isinstance(module, UNet)
    return f"{NAME}, {module.levels} levels, {'transposed convolutions' if module.transposed else 'bilinear'}"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A U-Net by these names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    marks = ("inc.double_conv.0.weight", "down1.maxpool_conv.1.double_conv.0.weight", "outc.conv.weight")
    if not all(name in scope for name in marks) or not scope.has("up1.conv.double_conv"):
        return None
    levels = min(scope.count(1, "down"), _MOST_LEVELS)
    return fitted(
        NAME,
        lambda: UNet(Scope(shapes)),
        pictures(scope.size(marks[0], 1), 2 ** (levels + 1)),
        shapes,
        _text,
        ("the activation is ReLU, and a way up reads its level's channels in front of those from below",),
    )
