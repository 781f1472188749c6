"""Residual networks whose blocks start with the activation: BatchNorm, ReLU, convolution.

He et al., Identity mappings in deep residual networks, https://arxiv.org/abs/1603.05027; Zagoruyko and Komodakis, Wide
residual networks, https://arxiv.org/abs/1605.07146. Two naming customs:

- `layer1.0.bn1, conv1, bn2, conv2, shortcut.0` and `linear`; a BatchNorm behind the stem (`bn1`, of the stem's width),
  or one behind the blocks (`bn` or `bn1`, of the last width), or none. With biases in the
  convolutions, shortcuts likely read the block's input as it is; without, behind bn1 and ReLU. Both are found of
  the same names and shapes, and their groups differ in scales: the module computes both, so that its group holds for
  either.
- `block1.layer.0.bn1, conv1, bn2, conv2, convShortcut`, then `bn1` and `fc`.

Names alone do not tell such a block from one that ends with its activation: a block that changes its width does.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import convolution, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.resnet import MOST_STAGES, depths, is_activated_first, require_told
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
WIDE = name_of(__name__, "wide_")
_MARKS = ("conv1.weight", "layer1.0.bn1.weight", "layer1.0.conv1.weight", "linear.weight")
_WIDE_MARKS = ("conv1.weight", "block1.layer.0.bn1.weight", "block1.layer.0.conv1.weight", "bn1.weight", "fc.weight")


class PreActBlock(nn.Module):
    """bn1, ReLU, conv1, bn2, ReLU, conv2 (and bn3, ReLU, conv3), then the shortcut is added.

    Args:
        biased: whether the convolutions have biases; then conv2 has the stride.
        shortcut: the name of a shortcut by convolution.
    """

    def __init__(self, scope: Scope, channels: int, stride: int, biased: bool, shortcut: str) -> None:
        super().__init__()
        self.bottleneck, self._shortcut = scope.has("conv3"), shortcut
        self.own = scope.has(shortcut)
        stride = stride if self.own else 1
        late = self.bottleneck or biased
        self.bn1 = nn.BatchNorm2d(channels)
        kernel = 1 if self.bottleneck else 3
        self.conv1 = convolution(scope, "conv1", channels, kernel, 1 if late else stride, bias=biased)
        self.bn2 = nn.BatchNorm2d(self.conv1.out_channels)
        self.conv2 = convolution(scope, "conv2", self.conv1.out_channels, 3, stride if late else 1, bias=biased)
        self.outputs = self.conv2.out_channels
        if self.bottleneck:
            self.bn3 = nn.BatchNorm2d(self.outputs)
            self.conv3 = convolution(scope, "conv3", self.outputs, 1, bias=biased)
            self.outputs = self.conv3.out_channels
        if self.own and f"{shortcut}.weight" in scope:
            setattr(self, shortcut, convolution(scope, shortcut, channels, 1, stride, bias=biased))
        elif self.own:
            layer = convolution(scope[shortcut], "0", channels, 1, stride, bias=biased)
            setattr(self, shortcut, nn.Sequential(layer))
        elif channels != self.outputs:
            missing = scope.name(shortcut)
            raise Refusal(f"the file has no {missing}, where {channels} channels become {self.outputs}")

    def forward(self, x: Tensor, raw: bool = False) -> Tensor:
        """`raw`: whether a shortcut by convolution reads the input itself, not what is behind bn1 and ReLU."""
        y = F.relu(self.bn1(x))
        if self.own:
            x = getattr(self, self._shortcut)(x if raw else y)
        y = self.conv2(F.relu(self.bn2(self.conv1(y))))
        if self.bottleneck:
            y = self.conv3(F.relu(self.bn3(y)))
        return y + x


class PreActResNet(nn.Module):
    """A stem `conv1`, stages of blocks `layer1`, ..., the mean over space, `linear`; `bn1` or `bn` as `_norms` says.

    Returns what both readings of the shortcuts give, the likelier one first; one output if there is no such shortcut.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        require_told(scope)
        self.biased = "conv1.bias" in scope
        self.conv1 = convolution(scope, "conv1", scope.size("conv1.weight", 1), 3, bias=self.biased)
        channels, self.depths = self.conv1.out_channels, []
        kinds, self.projects = set(), False
        self.stages = min(scope.count(1, "layer"), MOST_STAGES)
        for number in range(1, self.stages + 1):
            stage, made = scope[f"layer{number}"], []
            for place in range(stage.count()):
                stride = 2 if number > 1 and place == 0 else 1
                made.append(PreActBlock(stage[str(place)], channels, stride, self.biased, "shortcut"))
                channels = made[-1].outputs
                kinds.add("bottleneck" if made[-1].bottleneck else "basic")
                self.projects = self.projects or made[-1].own
            self.depths.append(len(made))
            setattr(self, f"layer{number}", nn.Sequential(*made))
        self.kinds = sorted(kinds)
        self.stem_norm, self.last_norm = _norms(scope, self.conv1.out_channels, channels)
        for name, width in ((self.stem_norm, self.conv1.out_channels), (self.last_norm, channels)):
            if name is not None:
                setattr(self, name, nn.BatchNorm2d(width))
        self.linear = nn.Linear(channels, scope.size("linear.weight", rank=2))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        likely = self._run(x, self.biased)
        return (likely, self._run(x, not self.biased)) if self.projects else likely

    def _run(self, x: Tensor, raw: bool) -> Tensor:
        x = self.conv1(x)
        if self.stem_norm is not None:
            x = F.relu(getattr(self, self.stem_norm)(x))
        for number in range(1, self.stages + 1):
            for block in getattr(self, f"layer{number}"):
                x = block(x, raw)
        if self.last_norm is not None:
            x = F.relu(getattr(self, self.last_norm)(x))
        return self.linear(x.mean((2, 3)))


class WideStage(nn.Module):
    """Blocks called `layer`."""

    def __init__(self, scope: Scope, channels: int, stride: int) -> None:
        super().__init__()
        blocks = []
        for place in range(scope["layer"].count()):
            block = PreActBlock(
                scope["layer"][str(place)], channels, stride if place == 0 else 1, False, "convShortcut"
            )
            channels = block.outputs
            blocks.append(block)
        self.outputs = channels
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """A stem `conv1`, stages `block1`, ..., `bn1`, ReLU, the mean over space, `fc`."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.conv1 = convolution(scope, "conv1", scope.size("conv1.weight", 1), 3)
        channels, self.depths = self.conv1.out_channels, []
        self.stages = min(scope.count(1, "block"), MOST_STAGES)
        told = False
        for number in range(1, self.stages + 1):
            stage = WideStage(scope[f"block{number}"], channels, 1 if number == 1 else 2)
            told = told or stage.outputs != channels
            channels = stage.outputs
            self.depths.append(len(stage.layer))
            setattr(self, f"block{number}", stage)
        if not told:
            raise Refusal("no block changes its width, so that nothing tells where the activations are")
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, scope.size("fc.weight", rank=2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for number in range(1, self.stages + 1):
            x = getattr(self, f"block{number}")(x)
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


def _norms(scope: Scope, stem: int, last: int) -> tuple[str | None, str | None]:
    """What the BatchNorms behind the stem and behind the blocks are called.

    Raises:
        Refusal: the width does not tell which of the two one is.
    """
    found = [name for name in ("bn1", "bn") if f"{name}.weight" in scope]
    if not found:
        return None, None
    if len(found) > 1 or stem == last:
        raise Refusal(f"nothing tells whether {found[0]} is behind the stem or behind the blocks")
    width = scope.size(f"{found[0]}.weight", rank=1)
    if width not in (stem, last):
        raise Refusal(f"{found[0]} has {width} channels, the stem {stem}, and the last block {last}")
    return (found[0], None) if width == stem else (None, found[0])


def _text(module: nn.Module) -> str:
    assert isinstance(module, PreActResNet)
    norm = {(True, False): ", norm behind the stem", (False, True): ", norm behind the blocks"}
    return f"{NAME}, {depths(module)}{norm.get((module.stem_norm is not None, module.last_norm is not None), '')}"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A pre-activation ResNet with a head called `linear`; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in _MARKS):
        return None
    told = is_activated_first(scope)
    if told is False or (
        told is None and scope.has("bn1")
    ):  # what has bn1 behind the stem is refused as a CIFAR ResNet
        return None
    return fitted(
        NAME,
        lambda: PreActResNet(Scope(shapes)),
        pictures(scope.size("conv1.weight", 1), 32),
        shapes,
        _text,
        (
            "the activation is ReLU, also behind a norm outside the blocks",
            "strides are 1, and 2 at the start of each further stage",
            "a shortcut by convolution reads the block's input as it is, or behind its first norm and ReLU: "
            "the group holds for both",
        ),
    )


def wide_from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A pre-activation WideResNet by the names block1.layer.0; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in _WIDE_MARKS):
        return None
    return fitted(
        WIDE,
        lambda: WideResNet(Scope(shapes)),
        pictures(scope.size("conv1.weight", 1), 32),
        shapes,
        lambda module: f"{WIDE}, blocks {', '.join(map(str, module.depths))}",  # type: ignore[arg-type, union-attr]
        (
            "the activation is ReLU, strides are 1, and 2 at the start of each further stage",
            "a block whose width changes reads its input behind bn1 and ReLU on both of its ways",
        ),
    )
