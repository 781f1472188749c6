"""OPT: learned positions two rows late, LayerNorm before or behind each branch, biases, often ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS, activation_name
from nfn_cli.architectures.families.parts.attention import attend, causal_mask, heads_of
from nfn_cli.architectures.families.parts.heads import Head, apply_head, put_head, token_inputs, told_head
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.words import counted

_TITLE = name_of(__name__)
_OFFSET = 2  # rows of the positions before the first token's
_EPS = 1e-5


@dataclass(frozen=True)
class _Spec:
    prefix: str
    vocabulary: int
    positions: int
    width: int
    embedded: int
    hidden: int
    layers: int
    heads: int
    activation: str
    is_before: bool
    has_final_norm: bool
    has_bias: bool
    has_gains: bool
    head: Head


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "opt":
        return None
    fields = Fields(config, _TITLE)
    width, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    if width % heads:
        raise Refusal(f"{_TITLE}: {width} entries of its stream are no {heads} heads")
    prefix = next((one for one in ("model.decoder.", "decoder.") if f"{one}embed_tokens.weight" in shapes), "")
    vocabulary = fields.whole("vocab_size")
    is_before = fields.flag("do_layer_norm_before", True)
    is_bare = fields.flag("_remove_final_layer_norm", False)
    # Files of the trunk alone begin with `decoder.`, and so do some of whole language models.
    is_whole = prefix == "model.decoder."
    spec = _Spec(
        prefix=prefix,
        vocabulary=vocabulary,
        positions=fields.whole("max_position_embeddings"),
        width=width,
        embedded=fields.whole("word_embed_proj_dim", width),
        hidden=fields.whole("ffn_dim"),
        layers=fields.layers("num_hidden_layers", shapes),
        heads=heads,
        activation=activation_name(fields, "activation_function", "relu"),
        is_before=is_before,
        has_final_norm=is_before and not is_bare,
        has_bias=fields.flag("enable_bias", True),
        has_gains=fields.flag("layer_norm_elementwise_affine", True),
        head=told_head(
            shapes,
            config,
            prefix if is_whole else "",
            vocabulary=vocabulary,
            is_tied=fields.flag("tie_word_embeddings", True),
        ),
    )
    fields.finish()
    text = f"{_TITLE}{spec.head.text}, {counted(spec.layers, 'layer')}, {counted(heads, 'head')}"
    inputs = partial(token_inputs, vocabulary, tokens=min(6, spec.positions))
    return ReferenceModule(_TITLE, text, partial(_OPT, spec), inputs)


class _OPT(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        prefix = spec.prefix
        embedding = put(self, f"{prefix}embed_tokens", nn.Embedding(spec.vocabulary, spec.embedded))
        put(self, f"{prefix}embed_positions", nn.Embedding(spec.positions + _OFFSET, spec.width))
        if spec.embedded != spec.width:
            put(self, f"{prefix}project_out", nn.Linear(spec.width, spec.embedded, bias=False))
            put(self, f"{prefix}project_in", nn.Linear(spec.embedded, spec.width, bias=False))
        if spec.has_final_norm:
            put(self, f"{prefix}final_layer_norm", _norm(spec))
        for layer in range(spec.layers):
            put(self, f"{prefix}layers.{layer}", _Layer(spec))
        put_head(self, spec.head, spec.embedded, embedding)

    def forward(self, tokens: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        spec = self.spec
        hidden = self._part("embed_tokens")(tokens)
        if spec.embedded != spec.width:
            hidden = self._part("project_in")(hidden)
        positions = torch.arange(tokens.shape[1], device=tokens.device) + _OFFSET
        hidden = hidden + self._part("embed_positions")(positions)
        for layer in range(spec.layers):
            hidden = self._part(f"layers.{layer}")(hidden)
        if spec.has_final_norm:
            hidden = self._part("final_layer_norm")(hidden)
        if spec.embedded != spec.width:
            hidden = self._part("project_out")(hidden)
        return apply_head(self, spec.head, hidden)

    def _part(self, name: str) -> nn.Module:
        return self.get_submodule(f"{self.spec.prefix}{name}")


class _Layer(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.is_before, self.activation = spec.is_before, ACTIVATIONS[spec.activation]
        self.self_attn = _Attention(spec)
        self.self_attn_layer_norm = _norm(spec)
        self.fc1 = nn.Linear(spec.width, spec.hidden, bias=spec.has_bias)
        self.fc2 = nn.Linear(spec.hidden, spec.width, bias=spec.has_bias)
        self.final_layer_norm = _norm(spec)

    def forward(self, hidden: Tensor) -> Tensor:
        if self.is_before:
            hidden = hidden + self.self_attn(self.self_attn_layer_norm(hidden))
            return hidden + self._mlp(self.final_layer_norm(hidden))
        hidden = self.self_attn_layer_norm(hidden + self.self_attn(hidden))
        return self.final_layer_norm(hidden + self._mlp(hidden))

    def _mlp(self, values: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(values)))


class _Attention(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.size = spec.width // spec.heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            nn.Linear(spec.width, spec.width, bias=spec.has_bias) for _ in range(4)
        )

    def forward(self, values: Tensor) -> Tensor:
        layers = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (heads_of(layer(values), self.size) for layer in layers)
        mask = causal_mask(values.shape[1], values)
        return self.out_proj(attend(query, key, value, self.size**-0.5, mask=mask))


def _norm(spec: _Spec) -> nn.LayerNorm:
    return nn.LayerNorm(spec.width, eps=_EPS, elementwise_affine=spec.has_gains)
