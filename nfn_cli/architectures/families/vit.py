"""ViT and DeiT as transformers has them, by the names in files and by those in memory since its version 5."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS, activation_name
from nfn_cli.architectures.families.parts.attention import attend, heads_of
from nfn_cli.architectures.families.parts.heads import outputs_of
from nfn_cli.architectures.families.parts.images import patches, picture_inputs
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.words import counted

_TITLES = {"vit": "ViT", "deit": "DeiT"}
_SINGLE, _PAIR = "classifier", ("cls_classifier", "distillation_classifier")


@dataclass(frozen=True)
class _Names:
    """Of a layer's parts, below `layers`."""

    layers: str
    query: str
    key: str
    value: str
    output: str
    inner: str
    outer: str


_IN_FILES = _Names(
    layers="encoder.layer",
    query="attention.attention.query",
    key="attention.attention.key",
    value="attention.attention.value",
    output="attention.output.dense",
    inner="intermediate.dense",
    outer="output.dense",
)
_IN_MEMORY = _Names(
    layers="layers",
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    output="attention.o_proj",
    inner="mlp.fc1",
    outer="mlp.fc2",
)


@dataclass(frozen=True)
class _Spec:
    """Of one network.

    Attributes:
        size, patch: height and width of pictures and of patches.
        tokens: how many stand before the patches: class, and distillation.
        pooled: outputs of the pooler; 0 for none.
        classes: names and outputs of the classifiers, each of which reads its token.
    """

    title: str
    names: _Names
    prefix: str
    size: tuple[int, int]
    patch: tuple[int, int]
    channels: int
    tokens: int
    width: int
    hidden: int
    layers: int
    heads: int
    activation: str
    eps: float
    has_bias: bool
    pooled: int
    pooler_activation: str
    classes: tuple[tuple[str, int], ...]


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    title = next((title for kind, title in _TITLES.items() if config.get("model_type") == kind), None)
    if title is None:
        return None
    kind = str(config["model_type"])
    fields = Fields(config, title, harmless={"encoder_stride"})
    prefix = f"{kind}." if any(name.startswith(f"{kind}.embeddings.") for name in shapes) else ""
    width, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    if width % heads:
        raise Refusal(f"{title}: {width} entries of its stream are no {heads} heads")
    size, patch = fields.pair("image_size", 224), fields.pair("patch_size", 16)
    if patch[0] > size[0] or patch[1] > size[1]:
        fields.refuse("patch_size", "larger than a picture")
    is_filed = any(name.startswith(f"{prefix}{_IN_FILES.layers}.") for name in shapes)
    found = (
        (_SINGLE,)
        if f"{_SINGLE}.weight" in shapes
        else _PAIR
        if all(f"{name}.weight" in shapes for name in _PAIR)
        else ()
    )
    pooled = fields.whole("pooler_output_size", width)
    pooler_activation = activation_name(fields, "pooler_act", "tanh")
    spec = _Spec(
        title=title,
        names=_IN_FILES if is_filed else _IN_MEMORY,
        prefix=prefix,
        size=size,
        patch=patch,
        channels=fields.whole("num_channels", 3),
        tokens=2 if kind == "deit" else 1,
        width=width,
        hidden=fields.whole("intermediate_size"),
        layers=fields.layers("num_hidden_layers", shapes),
        heads=heads,
        activation=activation_name(fields, "hidden_act", "gelu"),
        eps=fields.number("layer_norm_eps", 1e-12),
        has_bias=fields.flag("qkv_bias", True),
        pooled=pooled if f"{prefix}pooler.dense.weight" in shapes else 0,
        pooler_activation=pooler_activation,
        classes=tuple((name, outputs_of(shapes, name)) for name in found),
    )
    fields.finish()
    text = f"{title}{'' if found else ' without a head'}, {counted(spec.layers, 'layer')}, {counted(heads, 'head')}"
    return ReferenceModule(title, text, partial(_ViT, spec), partial(picture_inputs, spec.channels, size), sized=True)


class _ViT(nn.Module):
    """Pictures [batch, channels, height, width] to logits, or to hidden states and what the pooler makes of them.

    With two classifiers, as the library does: the mean of both, and each.
    """

    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        put(self, f"{spec.prefix}embeddings", _Embeddings(spec))
        for layer in range(spec.layers):
            put(self, f"{spec.prefix}{spec.names.layers}.{layer}", _Layer(spec))
        put(self, f"{spec.prefix}layernorm", nn.LayerNorm(spec.width, eps=spec.eps))
        if spec.pooled:
            put(self, f"{spec.prefix}pooler.dense", nn.Linear(spec.width, spec.pooled))
        for name, outputs in spec.classes:
            put(self, name, nn.Linear(spec.width, outputs))

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
        spec = self.spec
        hidden = self._part("embeddings")(pictures)
        for layer in range(spec.layers):
            hidden = self._part(f"{spec.names.layers}.{layer}")(hidden)
        hidden = self._part("layernorm")(hidden)
        logits = [self.get_submodule(name)(hidden[:, token]) for token, (name, _) in enumerate(spec.classes)]
        results = [(logits[0] + logits[1]) / 2, *logits] if len(logits) == 2 else logits or [hidden]
        if spec.pooled:
            results.append(ACTIVATIONS[spec.pooler_activation](self._part("pooler.dense")(hidden[:, 0])))
        return results[0] if len(results) == 1 else tuple(results)

    def _part(self, name: str) -> nn.Module:
        return self.get_submodule(f"{self.spec.prefix}{name}")


class _Embeddings(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        count = (spec.size[0] // spec.patch[0]) * (spec.size[1] // spec.patch[1])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, spec.width))
        if spec.tokens == 2:
            self.distillation_token = nn.Parameter(torch.zeros(1, 1, spec.width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, count + spec.tokens, spec.width))
        cut = nn.Conv2d(spec.channels, spec.width, kernel_size=spec.patch, stride=spec.patch)
        put(self, "patch_embeddings.projection", cut)
        self.tokens = spec.tokens

    def forward(self, pictures: Tensor) -> Tensor:
        cut = patches(self.get_submodule("patch_embeddings.projection"), pictures)
        first = [self.cls_token, self.distillation_token] if self.tokens == 2 else [self.cls_token]
        rows = [token.expand(cut.shape[0], -1, -1) for token in first]
        return torch.cat((*rows, cut), dim=1) + self.position_embeddings


class _Layer(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.names, self.size = spec.names, spec.width // spec.heads
        self.activation = ACTIVATIONS[spec.activation]
        for name in (self.names.query, self.names.key, self.names.value):
            put(self, name, nn.Linear(spec.width, spec.width, bias=spec.has_bias))
        put(self, self.names.output, nn.Linear(spec.width, spec.width))
        put(self, self.names.inner, nn.Linear(spec.width, spec.hidden))
        put(self, self.names.outer, nn.Linear(spec.hidden, spec.width))
        self.layernorm_before = nn.LayerNorm(spec.width, eps=spec.eps)
        self.layernorm_after = nn.LayerNorm(spec.width, eps=spec.eps)

    def forward(self, hidden: Tensor) -> Tensor:
        names, read = self.names, self.layernorm_before(hidden)
        query, key, value = (
            heads_of(self.get_submodule(name)(read), self.size) for name in (names.query, names.key, names.value)
        )
        hidden = hidden + self.get_submodule(names.output)(attend(query, key, value, self.size**-0.5))
        inner = self.activation(self.get_submodule(names.inner)(self.layernorm_after(hidden)))
        return hidden + self.get_submodule(names.outer)(inner)
