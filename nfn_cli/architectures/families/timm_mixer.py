"""MLP-Mixer as timm has it: MLPs along patches and along channels, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS, activation_name
from nfn_cli.architectures.families.parts.images import patches, picture_inputs
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.timm_config import told_arguments
from nfn_cli.architectures.families.timm_names import named_mixer
from nfn_cli.architectures.families.timm_vit import MLP
from nfn_cli.architectures.families.words import counted

_TITLE = name_of(__name__)
_EPS = 1e-6


@dataclass(frozen=True)
class _Spec:
    size: tuple[int, int]
    patch: tuple[int, int]
    channels: int
    width: int
    across: int
    hidden: int
    blocks: int
    classes: int
    activation: str
    is_pooled: bool
    has_stem_norm: bool


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    name = config.get("architecture")
    named = named_mixer(name) if isinstance(name, str) and "model_type" not in config else None
    if named is None:
        return None
    fields = told_arguments(config, named, _TITLE)
    fields.only("global_pool", "avg", "")
    width = fields.whole("embed_dim")
    size, patch = fields.pair("img_size", 224), fields.pair("patch_size", 16)
    if patch[0] > size[0] or patch[1] > size[1]:
        fields.refuse("patch_size", "larger than a picture")
    across, hidden = fields.numbers("mlp_ratio", (0.5, 4.0), high=2.0**10)
    spec = _Spec(
        size=size,
        patch=patch,
        channels=fields.whole("in_chans", 3),
        width=width,
        across=max(1, int(across * width)),
        hidden=max(1, int(hidden * width)),
        blocks=fields.layers("num_blocks", shapes),
        classes=fields.whole("num_classes", 1000, low=0),
        activation=activation_name(fields, "act_layer", "gelu"),
        is_pooled=fields.word("global_pool", "avg") == "avg",
        has_stem_norm=fields.flag("stem_norm", False),
    )
    fields.finish()
    text = f"{_TITLE}{'' if spec.classes else ' without a head'}, {counted(spec.blocks, 'layer')}"
    return ReferenceModule(
        _TITLE, text, partial(_Mixer, spec), partial(picture_inputs, spec.channels, size), sized=True
    )


class _Mixer(nn.Module):
    """Pictures [batch, channels, height, width] to logits, or to the mean of its patches or all of them."""

    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        put(self, "stem.proj", nn.Conv2d(spec.channels, spec.width, spec.patch, spec.patch))
        if spec.has_stem_norm:
            put(self, "stem.norm", nn.LayerNorm(spec.width, eps=_EPS))
        self.blocks = nn.Sequential(*(_Block(spec) for _ in range(spec.blocks)))
        self.norm = nn.LayerNorm(spec.width, eps=_EPS)
        if spec.classes:
            self.head = nn.Linear(spec.width, spec.classes)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = patches(self.get_submodule("stem.proj"), pictures)
        if self.spec.has_stem_norm:
            hidden = self.get_submodule("stem.norm")(hidden)
        hidden = self.norm(self.blocks(hidden))
        if self.spec.is_pooled:
            hidden = hidden.mean(dim=1)
        return self.head(hidden) if self.spec.classes else hidden


class _Block(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        count = (spec.size[0] // spec.patch[0]) * (spec.size[1] // spec.patch[1])
        activation = ACTIVATIONS[spec.activation]
        self.norm1 = nn.LayerNorm(spec.width, eps=_EPS)
        self.mlp_tokens = MLP(count, spec.across, activation)
        self.norm2 = nn.LayerNorm(spec.width, eps=_EPS)
        self.mlp_channels = MLP(spec.width, spec.hidden, activation)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.mlp_tokens(self.norm1(hidden).transpose(1, 2)).transpose(1, 2)
        return hidden + self.mlp_channels(self.norm2(hidden))
