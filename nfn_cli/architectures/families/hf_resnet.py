"""ResNet by Hugging Face's names (ResNetForImageClassification).

He et al., https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.configuration import flag_of, function_of
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import Function, convolution, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.resnet import MOST_STAGES
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)


class Normed(nn.Module):
    """`convolution`, `normalization`, a function or none."""

    def __init__(self, scope: Scope, channels: int, kernel: int, stride: int, function: Function | None) -> None:
        super().__init__()
        self.convolution = convolution(scope, "convolution", channels, kernel, stride)
        self.outputs = self.convolution.out_channels
        self.normalization = nn.BatchNorm2d(self.outputs)
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalization(self.convolution(x))
        return x if self._function is None else self._function(x)


class Layer(nn.Module):
    """Two or three convolutions `layer.0`, ..., the shortcut added, then the function. Inner ones of two are ReLU's.

    Args:
        early: whether the first convolution of a bottleneck has the stride, not the second.
    """

    def __init__(self, scope: Scope, channels: int, stride: int, function: Function, early: bool) -> None:
        super().__init__()
        inner, count = scope["layer"], scope["layer"].count()
        if count not in (2, 3):
            raise Refusal(f"{scope.name('layer')} has {count} convolutions, not 2 or 3")
        kernels = (3, 3) if count == 2 else (1, 3, 1)
        strided = 0 if count == 2 or early else 1
        self._own = scope.has("shortcut")
        layers, width = [], channels
        for place, kernel in enumerate(kernels):
            step = stride if place == strided and self._own else 1
            last = place == count - 1
            layers.append(Normed(inner[str(place)], width, kernel, step, None if last else F.relu))
            width = layers[-1].outputs
        self.layer, self.outputs = nn.Sequential(*layers), width
        if self._own:
            self.shortcut = Normed(scope["shortcut"], channels, 1, stride, None)
        elif channels != width:
            raise Refusal(f"the file has no {scope.name('shortcut')}, where {channels} channels become {width}")
        self._function, self.bottleneck = function, count == 3

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return self._function(y + (self.shortcut(x) if self._own else x))


class HuggingFaceResNet(nn.Module):
    """resnet.embedder.embedder, resnet.encoder.stages.0, ..., the mean over space, classifier.1.

    Args:
        function: of the stem and behind each addition.
        reduces: whether the first stage has stride 2.
        early: as in `Layer`.
    """

    def __init__(self, scope: Scope, function: Function, reduces: bool, early: bool) -> None:
        super().__init__()
        trunk = scope["resnet"]
        embedder = trunk["embedder"]["embedder"]
        stem = Normed(embedder, embedder.size("convolution.weight", 1), 7, 2, function)
        stages, channels = [], stem.outputs
        count = min(trunk["encoder.stages"].count(), MOST_STAGES)
        for number in range(count):
            here, layers = trunk["encoder.stages"][str(number)]["layers"], []
            for place in range(here.count()):
                stride = 2 if place == 0 and (number > 0 or reduces) else 1
                layers.append(Layer(here[str(place)], channels, stride, function, early))
                channels = layers[-1].outputs
            stages.append(nn.ModuleDict({"layers": nn.Sequential(*layers)}))
        self.depths = [len(stage.get_submodule("layers")) for stage in stages]  # type: ignore[arg-type]
        self.resnet = nn.ModuleDict(
            {"embedder": nn.ModuleDict({"embedder": stem}), "encoder": nn.ModuleDict({"stages": nn.ModuleList(stages)})}
        )
        self.classifier = nn.ModuleDict({"1": nn.Linear(channels, scope.size("classifier.1.weight", rank=2))})

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = self.resnet.get_submodule("embedder.embedder")(pixel_values)
        x = F.max_pool2d(x, 3, 2, 1)
        for number in range(len(self.depths)):
            x = self.resnet.get_submodule(f"encoder.stages.{number}.layers")(x)
        return self.classifier["1"](x.mean((2, 3)))


def _make(shapes: Shapes, config: Config | None) -> ReferenceModule | None:
    scope = Scope(shapes)
    marks = (
        "resnet.embedder.embedder.convolution.weight",
        "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight",
    )
    if not all(name in scope for name in marks) or "classifier.1.weight" not in scope:
        return None
    given = {} if config is None else config
    function = function_of(given, "hidden_act", "relu")
    reduces = flag_of(given, "downsample_in_first_stage", False)
    early = flag_of(given, "downsample_in_bottleneck", False)
    return fitted(
        NAME,
        lambda: HuggingFaceResNet(Scope(shapes), function, reduces, early),
        pictures(scope.size(marks[0], 1), 64),
        shapes,
        lambda module: f"{NAME}, layers {', '.join(map(str, module.depths))}",  # type: ignore[arg-type, union-attr]
        () if config is not None else ("activation and strides are those of no configuration: ReLU, 1 and 2",),
    )


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """By names, with what the library takes without a configuration; as `Family.from_shapes`."""
    return _make(shapes, None)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """With model_type resnet; as `Family.from_config`."""
    return _make(shapes, config) if config.get("model_type") == "resnet" else None
