"""Residual networks whose blocks end with the activation: torchvision's ResNet, ResNeXt and WideResNet.

He et al., Deep residual learning for image recognition, https://arxiv.org/abs/1512.03385; Xie et al., Aggregated
residual transformations, https://arxiv.org/abs/1611.05431. Groups are in no name: the shapes tell them.

A pre-activation block may have the same names. Its first BatchNorm is as wide as the block's input, so that one block
that changes its width tells the two apart; a network without one is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.configuration import is_timm
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import convolution, groups_of, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
MOST_STAGES = 8
_MARKS = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "fc.weight")
_TIMM = re.compile(r"(?:resnet(?:18|26|34|50|101|152)|wide_resnet(?:50|101)_2|resnext(?:50|101)_\d+x\d+d)(?:\..*)?")


@dataclass(frozen=True)
class Names:
    """How a repository calls its parts.

    Attributes:
        shortcut: of a block.
        head: the linear layer at the end.
        padded: whether a block without a shortcut of its own may widen its input with zeros.
    """

    shortcut: str
    head: str
    padded: bool = False


class Block(nn.Module):
    """conv1, bn1, conv2, bn2 (and conv3, bn3 of a bottleneck), then the shortcut is added, then ReLU."""

    def __init__(self, scope: Scope, channels: int, stride: int, first: bool, names: Names) -> None:
        super().__init__()
        self.bottleneck = scope.has("conv3")
        self.outputs = scope.size(f"{'conv3' if self.bottleneck else 'conv2'}.weight")
        self._shortcut, self.pad, self._stride = names.shortcut, 0, 1
        if first and scope.has(names.shortcut):
            self._stride = stride
            layer = convolution(scope[names.shortcut], "0", channels, 1, stride)
            setattr(self, names.shortcut, nn.Sequential(layer, nn.BatchNorm2d(self.outputs)))
        elif channels != self.outputs:
            self._stride, self.pad = stride, self.outputs // 4
            if not names.padded or self.bottleneck or channels + 2 * self.pad != self.outputs:
                missing = scope.name(names.shortcut)
                raise Refusal(f"the file has no {missing}, where {channels} channels become {self.outputs}")
        if self.bottleneck:
            self.conv1 = convolution(scope, "conv1", channels, 1)
            width = self.conv1.out_channels
            self.conv2 = convolution(scope, "conv2", width, 3, self._stride, groups_of(scope, "conv2", width))
            self.conv3 = convolution(scope, "conv3", self.conv2.out_channels, 1)
            self.bn3 = nn.BatchNorm2d(self.outputs)
        else:
            self.conv1 = convolution(scope, "conv1", channels, 3, self._stride)
            self.conv2 = convolution(scope, "conv2", self.conv1.out_channels, 3)
        self.bn1, self.bn2 = nn.BatchNorm2d(self.conv1.out_channels), nn.BatchNorm2d(self.conv2.out_channels)

    def forward(self, x: Tensor, adds: bool = True) -> Tensor:
        """`adds`: whether the shortcut is added."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        if not adds:
            return F.relu(y)
        if hasattr(self, self._shortcut):
            x = getattr(self, self._shortcut)(x)
        elif self.pad:
            x = x[:, :, :: self._stride, :: self._stride] if self._stride > 1 else x
            x = F.pad(x, (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet(nn.Module):
    """A stem, stages of blocks `layer1`, `layer2`, ..., the mean over space, a linear layer.

    A network whose shortcuts are all without tensors returns two outputs: with the shortcuts, and with none.

    Args:
        scope: the file's names and shapes.
        names: how the parts are called.

    Raises:
        Refusal: a shape cannot be.
    """

    def __init__(self, scope: Scope, names: Names) -> None:
        super().__init__()
        require_told(scope)
        outputs, inputs, kernel, _ = scope.shape("conv1.weight", 4)
        if kernel not in (3, 7):
            raise Refusal(f"the kernel of conv1 is {kernel}×{kernel}, not 7×7 or 3×3")
        self.large = kernel == 7
        self.conv1 = convolution(scope, "conv1", inputs, kernel, 2 if self.large else 1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.stages = min(scope.count(1, "layer"), MOST_STAGES)
        blocks: list[Block] = []
        channels, self.depths = outputs, []
        for number in range(1, self.stages + 1):
            stage = scope[f"layer{number}"]
            made = []
            for place in range(stage.count()):
                stride = 2 if number > 1 and place == 0 else 1
                made.append(Block(stage[str(place)], channels, stride, place == 0, names))
                channels = made[-1].outputs
            self.depths.append(len(made))
            blocks += made
            setattr(self, f"layer{number}", nn.Sequential(*made))
        self.kinds = sorted({"bottleneck" if block.bottleneck else "basic" for block in blocks})
        self.groups = max(block.conv2.groups for block in blocks)
        self.padded = any(block.pad for block in blocks)
        if self.padded and any(hasattr(block, names.shortcut) for block in blocks):
            raise Refusal("some of its blocks that change the width have a shortcut by convolution and some have not")
        self.group_width = blocks[0].conv2.in_channels // self.groups
        self.wide = any(block.bottleneck and block.conv2.in_channels * 4 != block.outputs for block in blocks)
        head = nn.Linear(channels, scope.size(f"{names.head}.weight", rank=2))
        setattr(self, names.head, head)
        self._head = names.head

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        likely = self._run(x, True)
        return (likely, self._run(x, False)) if self.padded else likely

    def _run(self, x: Tensor, adds: bool) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        for number in range(1, self.stages + 1):
            for block in getattr(self, f"layer{number}"):
                x = block(x, adds)
        return getattr(self, self._head)(x.mean((2, 3)))


def is_activated_first(scope: Scope) -> bool | None:
    """Whether the BatchNorms of the blocks `layer1.0`, ... are as wide as what their convolutions read.

    None where nothing tells: no convolution of a block changes the width.
    """
    for number in range(1, min(scope.count(1, "layer"), MOST_STAGES) + 1):
        stage = scope[f"layer{number}"]
        for place in range(stage.count()):
            for part in ("1", "3"):
                layer, norm = f"conv{part}.weight", f"bn{part}.weight"
                block = stage[str(place)]
                if layer not in block or norm not in block:
                    continue
                outputs, inputs = block.shape(layer, 4)[:2]
                width = block.size(norm, rank=1)
                if outputs != inputs and width in (outputs, inputs):
                    return width == inputs
    return None


def require_told(scope: Scope) -> None:
    """Raises `Refusal` where nothing tells on which side of the convolutions the activations are."""
    if is_activated_first(scope) is None:
        raise Refusal(
            "no block changes its width, and blocks with the activation in front have the same names and shapes"
        )


def depths(module: nn.Module) -> str:
    """Such as `basic blocks 2, 2, 2, 2`."""
    return f"{' and '.join(module.kinds)} blocks {', '.join(map(str, module.depths))}"  # type: ignore[arg-type]


def _text(module: nn.Module) -> str:
    assert isinstance(module, ResNet)
    if module.groups > 1:
        return f"ResNeXt (torchvision), {module.groups} groups of {module.group_width}, {depths(module)}"
    return f"{'WideResNet' if module.wide else 'ResNet'} (torchvision), {depths(module)}"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A ResNet by torchvision's names (conv1, bn1, layer1.0.conv1, downsample, fc); as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in _MARKS):
        return None
    if scope.has("layer1.0.shortcut"):
        return None
    size, inputs = scope.shape("conv1.weight", 4)[2], scope.size("conv1.weight", 1)
    stem = (
        "the 7×7 stem has stride 2 and a pooling behind it"
        if size == 7
        else "the 3×3 stem has neither stride nor pooling"
    )
    return fitted(
        NAME,
        lambda: ResNet(Scope(shapes), Names("downsample", "fc")),
        pictures(inputs, 64 if size == 7 else 32),
        shapes,
        _text,
        (f"the activation is ReLU, strides are torchvision's, {stem}",),
    )


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """timm's configuration of the same network; as `Family.from_config`."""
    return from_shapes(shapes) if is_timm(config, _TIMM) else None
