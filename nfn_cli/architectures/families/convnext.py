"""ConvNeXt by the names of torchvision, timm and Hugging Face.

Liu et al., https://arxiv.org/abs/2201.03545. All three compute the same: a depthwise 7×7, a LayerNorm over the
channels, two linear layers with GELU between them, a gain for each channel; the input added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.configuration import function_of, is_timm, number_of
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import ChannelNorm, Function, convolution, odd_kernel, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

TORCHVISION = name_of(__name__, "torchvision_")
TIMM = name_of(__name__, "timm_")
HUGGING_FACE = name_of(__name__, "hugging_face_")
_EPS, _XXLARGE_EPS = 1e-6, 1e-5
_MOST_STAGES = 16
_TIMM_NAMES = re.compile(r"convnext_(?:atto|femto|pico|nano|tiny|small|base|large|xlarge|xxlarge)(?:\..*)?")


@dataclass(frozen=True)
class Names:
    """How a library calls the parts of a block; dots are submodules.

    Attributes:
        depthwise, norm, wide, narrow: the layers.
        gain: the gain of each channel, of `gain_rank` axes.
    """

    depthwise: str
    norm: str
    wide: str
    narrow: str
    gain: str
    gain_rank: int = 1


_TORCHVISION = Names("block.0", "block.2", "block.3", "block.5", "layer_scale", 3)
_TIMM = Names("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma")
_HUGGING_FACE = Names("dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter")


class ConvNeXtBlock(nn.Module):
    """One block; a gain that the file does not have is not applied.

    The two linear layers are Linear where the file's weights have two axes, else convolutions of 1×1.
    """

    def __init__(self, scope: Scope, channels: int, names: Names, function: Function, eps: float = _EPS) -> None:
        super().__init__()
        self._names, self._function = names, function
        kernel = odd_kernel(scope, names.depthwise)
        _place(self, names.depthwise, convolution(scope, names.depthwise, channels, kernel, 1, channels, bias=True))
        _place(self, names.norm, nn.LayerNorm(channels, eps))
        wide = _pointwise(scope, names.wide, channels)
        _place(self, names.wide, wide)
        _place(self, names.narrow, _pointwise(scope, names.narrow, wide.weight.shape[0]))
        self._flat = isinstance(wide, nn.Linear)
        if names.gain in scope:
            gain = nn.Parameter(wide.weight.new_ones((channels, 1, 1)[: names.gain_rank]))
            setattr(self, names.gain, gain)

    def forward(self, x: Tensor) -> Tensor:
        names = self._names
        y = self.get_submodule(names.depthwise)(x).permute(0, 2, 3, 1)
        y = self.get_submodule(names.norm)(y)
        y = y if self._flat else y.permute(0, 3, 1, 2)
        y = self.get_submodule(names.narrow)(self._function(self.get_submodule(names.wide)(y)))
        y = y.permute(0, 3, 1, 2) if self._flat else y
        if hasattr(self, names.gain):
            y = y * getattr(self, names.gain).reshape(1, -1, 1, 1)
        return x + y


def _place(module: nn.Module, name: str, part: nn.Module) -> None:
    """Make `part` the submodule of a dotted name."""
    *path, last = name.split(".")
    for step in path:
        if not hasattr(module, step):
            module.add_module(step, nn.Module())
        module = module.get_submodule(step)
    module.add_module(last, part)


def _pointwise(scope: Scope, name: str, inputs: int) -> nn.Linear | nn.Conv2d:
    if len(scope.shapes.get(scope.name(f"{name}.weight"), ())) == 4:
        return convolution(scope, name, inputs, 1, bias=True)
    return nn.Linear(inputs, scope.size(f"{name}.weight", rank=2))


def _down(scope: Scope, channels: int, eps: float = _EPS) -> nn.Sequential:
    """A LayerNorm and a convolution whose stride is its kernel, called 0 and 1."""
    return nn.Sequential(ChannelNorm(channels, eps), _patches(scope, "1", channels))


def _patches(scope: Scope, name: str, channels: int) -> nn.Conv2d:
    """A convolution of patches that do not overlap."""
    outputs, _, size, other = scope.shape(f"{name}.weight", 4)
    if size != other or size > 64:
        raise Refusal(f"the kernel of {scope.name(name)} is {size}×{other}, not the square of a patch")
    return nn.Conv2d(channels, outputs, size, size)


class TorchvisionConvNeXt(nn.Module):
    """features.0 patches and norm, then stages and reductions in turn; classifier.0 a norm, classifier.2 linear."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        stem = _patches(features["0"], "0", features.size("0.0.weight", 1))
        channels = stem.out_channels
        parts: list[nn.Module] = [nn.Sequential(stem, ChannelNorm(channels, _EPS))]
        self.depths = []
        for number in range(1, min(features.count(), 2 * _MOST_STAGES)):
            here = features[str(number)]
            if number % 2:
                self.depths.append(here.count())
                names = map(str, range(here.count()))
                blocks = [ConvNeXtBlock(here[name], channels, _TORCHVISION, F.gelu) for name in names]
                parts.append(nn.Sequential(*blocks))
            else:
                parts.append(_down(here, channels))
                channels = here.size("1.weight")
        self.features = nn.Sequential(*parts)
        linear = nn.Linear(channels, scope.size("classifier.2.weight", rank=2))
        self.classifier = nn.ModuleDict({"0": nn.LayerNorm(channels, _EPS), "2": linear})

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier["2"](self.classifier["0"](self.features(x).mean((2, 3))))


class TimmStage(nn.Module):
    """A reduction (not where the file has none) and blocks."""

    def __init__(self, scope: Scope, channels: int, eps: float) -> None:
        super().__init__()
        self._reduces = scope.has("downsample")
        if self._reduces:
            self.downsample = _down(scope["downsample"], channels, eps)
            channels = scope["downsample"].size("1.weight")
        self.outputs, names = channels, map(str, range(scope["blocks"].count()))
        blocks = [ConvNeXtBlock(scope["blocks"][name], channels, _TIMM, F.gelu, eps) for name in names]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x) if self._reduces else x)


class TimmConvNeXt(nn.Module):
    """stem.0 patches, stem.1 a norm, stages.0, ...; the mean over space, head.norm, head.fc."""

    def __init__(self, scope: Scope, eps: float) -> None:
        super().__init__()
        stem = _patches(scope["stem"], "0", scope.size("stem.0.weight", 1))
        channels = stem.out_channels
        self.stem = nn.Sequential(stem, ChannelNorm(channels, eps))
        stages = []
        for number in range(min(scope["stages"].count(), _MOST_STAGES)):
            stages.append(TimmStage(scope["stages"][str(number)], channels, eps))
            channels = stages[-1].outputs
        self.stages, self.depths = nn.Sequential(*stages), [len(stage.blocks) for stage in stages]
        linear = nn.Linear(channels, scope.size("head.fc.weight", rank=2))
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(channels, eps), "fc": linear})

    def forward(self, x: Tensor) -> Tensor:
        return self.head["fc"](self.head["norm"](self.stages(self.stem(x)).mean((2, 3))))


class HuggingFaceStage(nn.Module):
    """A reduction (not where the file has none) and blocks."""

    def __init__(self, scope: Scope, channels: int, function: Function) -> None:
        super().__init__()
        self._reduces = scope.has("downsampling_layer")
        if self._reduces:
            self.downsampling_layer = _down(scope["downsampling_layer"], channels)
            channels = scope["downsampling_layer"].size("1.weight")
        self.outputs, blocks = channels, scope["layers"]
        names = map(str, range(blocks.count()))
        self.layers = nn.Sequential(*[ConvNeXtBlock(blocks[n], channels, _HUGGING_FACE, function) for n in names])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.downsampling_layer(x) if self._reduces else x)


class HuggingFaceConvNeXt(nn.Module):
    """convnext.embeddings, convnext.encoder.stages.0, ..., the mean over space, convnext.layernorm, classifier.

    Args:
        function: the blocks' activation.
        eps: ε of the last norm; the others' is 1e-6.
    """

    def __init__(self, scope: Scope, function: Function, eps: float) -> None:
        super().__init__()
        trunk = scope["convnext"]
        stem = _patches(trunk["embeddings"], "patch_embeddings", trunk.size("embeddings.patch_embeddings.weight", 1))
        channels = stem.out_channels
        embeddings = nn.ModuleDict({"patch_embeddings": stem, "layernorm": ChannelNorm(channels, _EPS)})
        stages = []
        for number in range(min(trunk["encoder.stages"].count(), _MOST_STAGES)):
            stages.append(HuggingFaceStage(trunk["encoder.stages"][str(number)], channels, function))
            channels = stages[-1].outputs
        self.depths = [len(stage.layers) for stage in stages]
        encoder = nn.ModuleDict({"stages": nn.Sequential(*stages)})
        norm = nn.LayerNorm(channels, eps)
        self.convnext = nn.ModuleDict({"embeddings": embeddings, "encoder": encoder, "layernorm": norm})
        self.classifier = nn.Linear(channels, scope.size("classifier.weight", rank=2))

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = self.convnext.get_submodule("embeddings.patch_embeddings")(pixel_values)
        x = self.convnext.get_submodule("embeddings.layernorm")(x)
        x = self.convnext.get_submodule("encoder.stages")(x)
        return self.classifier(self.convnext["layernorm"](x.mean((2, 3))))


def _text(name: str, module: nn.Module) -> str:
    return f"{name}, blocks {', '.join(map(str, module.depths))}"  # type: ignore[arg-type, union-attr]


def torchvision_from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """By torchvision's names; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in ("features.0.0.weight", "features.1.0.layer_scale", "classifier.2.weight")):
        return None
    return fitted(
        TORCHVISION,
        lambda: TorchvisionConvNeXt(Scope(shapes)),
        pictures(scope.size("features.0.0.weight", 1), 64),
        shapes,
        lambda module: _text(TORCHVISION, module),
        ("the activation is GELU, the norms' ε is 1e-06",),
    )


def timm_from_shapes(shapes: Shapes, eps: float = _EPS, told: bool = False) -> ReferenceModule | None:
    """By timm's names; as `Family.from_shapes`.

    Args:
        shapes: of the file.
        eps: of all norms.
        told: whether a configuration names the network, so that nothing is assumed.
    """
    scope = Scope(shapes)
    marks = ("stem.0.weight", "stages.0.blocks.0.conv_dw.weight", "stages.0.blocks.0.mlp.fc1.weight", "head.fc.weight")
    if not all(name in scope for name in marks):
        return None
    return fitted(
        TIMM,
        lambda: TimmConvNeXt(Scope(shapes), eps),
        pictures(scope.size("stem.0.weight", 1), 64),
        shapes,
        lambda module: _text(TIMM, module),
        () if told else (f"the activation is GELU, the norms' ε is {eps:g}",),
    )


def _hugging_face(shapes: Shapes, config: Config | None) -> ReferenceModule | None:
    """By Hugging Face's names; without a configuration by the library's defaults."""
    scope = Scope(shapes)
    marks = ("convnext.embeddings.patch_embeddings.weight", "convnext.encoder.stages.0.layers.0.dwconv.weight")
    if not all(name in scope for name in marks) or "classifier.weight" not in scope:
        return None
    given = {} if config is None else config
    function = function_of(given, "hidden_act", "gelu")
    eps = number_of(given, "layer_norm_eps", 1e-12)
    return fitted(
        HUGGING_FACE,
        lambda: HuggingFaceConvNeXt(Scope(shapes), function, eps),
        pictures(scope.size("convnext.embeddings.patch_embeddings.weight", 1), 64),
        shapes,
        lambda module: _text(HUGGING_FACE, module),
        () if config is not None else ("the activation is GELU, the last norm's ε 1e-12 (the library's defaults)",),
    )


def hugging_face_from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """By Hugging Face's names; as `Family.from_shapes`."""
    return _hugging_face(shapes, None)


def hugging_face_from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """As `Family.from_config`."""
    return _hugging_face(shapes, config) if config.get("model_type") == "convnext" else None


def timm_from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """As `Family.from_config`."""
    if not is_timm(config, _TIMM_NAMES):
        return None
    eps = _XXLARGE_EPS if str(config["architecture"]).startswith("convnext_xxlarge") else _EPS
    return timm_from_shapes(shapes, eps, told=True)
