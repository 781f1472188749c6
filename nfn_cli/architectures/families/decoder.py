"""Decoders with rotary positions, built from one description.

Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma 2, Phi, OLMo 2, GPT-NeoX and Mixtral differ by its flags alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS
from nfn_cli.architectures.families.parts.attention import attend, causal_mask, heads_of
from nfn_cli.architectures.families.parts.experts import Experts
from nfn_cli.architectures.families.parts.heads import Head, apply_head, put_head, token_inputs
from nfn_cli.architectures.families.parts.norms import RMSNorm
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.parts.rotary import rotated
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.words import counted

if TYPE_CHECKING:
    from nfn_cli.architectures.families.parts.rotary import Rotary


@dataclass(frozen=True)
class Norms:
    """Names of a layer's norms; None where the family has none there.

    Attributes:
        before_attention, after_attention, before_mlp, after_mlp: on the branch, before its first and behind its last
            layer.
    """

    before_attention: str | None = "input_layernorm"
    after_attention: str | None = None
    before_mlp: str | None = "post_attention_layernorm"
    after_mlp: str | None = None


@dataclass(frozen=True)
class Mixture:
    """Experts in place of an MLP.

    Attributes:
        name: of the module in a layer.
        experts, chosen: how many there are, and how many are mixed.
        packed: whether tensors hold all experts at once.
    """

    name: str
    experts: int
    chosen: int
    packed: bool


@dataclass(frozen=True)
class DecoderSpec:
    """All that tells one decoder from another.

    Attributes:
        title: of the family.
        prefix: of the trunk's names, with its dot.
        width, hidden, layers, vocabulary: sizes.
        heads, groups, size: of the attention: query heads, key-value heads, entries of a head.
        rotary: the positions.
        head: what reads the last hidden states.
        eps: of norms.
        activation: of the MLP.
        windows: of each layer: how many tokens it sees; None for all before.
        scale: of the attention's scores.
        attention: name of the attention in a layer.
        query_key_value: names of its three layers, or of the one that holds all three, head by head.
        output: name of its last layer.
        mlp: names of the MLP's layers: gate, up and down, or only up and down.
        norms: names of a layer's norms.
        embedding, final_norm: names in the trunk.
        norm: rms, rms+1 (stored one below) or layer.
        qk_norm: head (along each head), all (along all heads together), or None.
        qk_norms: names of the norms of queries and keys.
        is_parallel: whether attention and MLP read the same stream.
        has_qkv_bias, has_output_bias, has_mlp_bias: which layers have biases.
        attention_cap: c of c · tanh(scores / c).
        embedding_scale: on embeddings.
        mixture: experts in place of the MLP.
        ignored: matches names of stored constants.
    """

    title: str
    prefix: str
    width: int
    hidden: int
    layers: int
    vocabulary: int
    heads: int
    groups: int
    size: int
    rotary: Rotary
    head: Head
    eps: float
    activation: str
    windows: tuple[int | None, ...]
    scale: float
    attention: str = "self_attn"
    query_key_value: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    output: str = "o_proj"
    mlp: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    norms: Norms = field(default_factory=Norms)
    embedding: str = "embed_tokens"
    final_norm: str = "norm"
    norm: str = "rms"
    qk_norm: str | None = None
    qk_norms: tuple[str, str] = ("q_norm", "k_norm")
    is_parallel: bool = False
    has_qkv_bias: bool = False
    has_output_bias: bool = False
    has_mlp_bias: bool = False
    attention_cap: float | None = None
    embedding_scale: float | None = None
    mixture: Mixture | None = None
    ignored: str = r".*\.rotary_emb\.inv_freq"

    @property
    def text(self) -> str:
        """Such as `Llama, 16 layers, 32 heads in 8 groups of one key-value head`."""
        heads = counted(self.heads, "head")
        if self.groups == 1 < self.heads:
            heads += " on one key-value head"
        elif self.groups < self.heads:
            heads += f" in {self.groups} groups of one key-value head"
        experts = f", {counted(self.mixture.experts, 'expert')}" if self.mixture else ""
        return f"{self.title}{self.head.text}, {counted(self.layers, 'layer')}, {heads}{experts}"


def reference(spec: DecoderSpec) -> ReferenceModule:
    """The module that a description tells."""
    inputs = partial(token_inputs, spec.vocabulary)
    return ReferenceModule(spec.title, spec.text, partial(Decoder, spec), inputs, spec.ignored)


def head_sizes(fields: Fields, title: str, width: int, size: int | None = None) -> tuple[int, int]:
    """How many heads there are, and entries of each.

    Args:
        size: entries of a head where the configuration does not tell; None for width / heads.
    """
    heads = fields.whole("num_attention_heads")
    if size is None and not fields.has("head_dim") and width % heads:
        raise Refusal(f"{title}: {width} entries of its stream are no {heads} heads")
    return heads, fields.whole("head_dim", size or width // heads)


def group_count(fields: Fields, title: str, heads: int, *, is_required: bool = False) -> int:
    """How many key-value heads there are."""
    groups = fields.whole("num_key_value_heads") if is_required else fields.whole("num_key_value_heads", heads)
    if heads % groups:
        raise Refusal(f"{title}: {heads} heads are no {groups} groups")
    return groups


class Decoder(nn.Module):
    """A decoder: tokens [batch, tokens] to what its head gives."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        embedding = put(self, spec.prefix + spec.embedding, nn.Embedding(spec.vocabulary, spec.width))
        for layer in range(spec.layers):
            put(self, f"{spec.prefix}layers.{layer}", _Layer(spec))
        put(self, spec.prefix + spec.final_norm, _norm(spec, spec.width))
        put_head(self, spec.head, spec.width, embedding)

    def forward(self, tokens: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        spec = self.spec
        hidden = self.get_submodule(spec.prefix + spec.embedding)(tokens)
        if spec.embedding_scale is not None:
            hidden = hidden * _rounded(spec.embedding_scale, hidden.dtype)
        cosine, sine = spec.rotary.tables(tokens.shape[1], hidden)
        masks = {window: causal_mask(tokens.shape[1], hidden, window) for window in dict.fromkeys(spec.windows)}
        for layer, window in enumerate(spec.windows):
            hidden = self.get_submodule(f"{spec.prefix}layers.{layer}")(hidden, cosine, sine, masks[window])
        return apply_head(self, spec.head, self.get_submodule(spec.prefix + spec.final_norm)(hidden))


class _Layer(nn.Module):
    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        put(self, spec.attention, _Attention(spec))
        activation = ACTIVATIONS[spec.activation]
        if mixture := spec.mixture:
            sizes = (spec.width, spec.hidden, mixture.experts, mixture.chosen)
            put(self, mixture.name, Experts(*sizes, activation, packed=mixture.packed))
        else:
            *inner, outer = spec.mlp
            for name in inner:
                put(self, name, nn.Linear(spec.width, spec.hidden, bias=spec.has_mlp_bias))
            put(self, outer, nn.Linear(spec.hidden, spec.width, bias=spec.has_mlp_bias))
        norms = spec.norms
        for norm in (norms.before_attention, norms.after_attention, norms.before_mlp, norms.after_mlp):
            if norm is not None:
                put(self, norm, _norm(spec, spec.width))

    def forward(self, hidden: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor) -> Tensor:
        norms = self.spec.norms
        read = self._normed(norms.before_attention, hidden)
        attended = self.get_submodule(self.spec.attention)(read, cosine, sine, mask)
        attended = self._normed(norms.after_attention, attended)
        if self.spec.is_parallel:
            read = read if norms.before_mlp is None else self._normed(norms.before_mlp, hidden)
            return attended + self._mlp(read) + hidden
        hidden = hidden + attended
        return hidden + self._normed(norms.after_mlp, self._mlp(self._normed(norms.before_mlp, hidden)))

    def _normed(self, name: str | None, values: Tensor) -> Tensor:
        return values if name is None else self.get_submodule(name)(values)

    def _mlp(self, values: Tensor) -> Tensor:
        if mixture := self.spec.mixture:
            return self.get_submodule(mixture.name)(values)
        first, *between, last = (self.get_submodule(name) for name in self.spec.mlp)
        inner = ACTIVATIONS[self.spec.activation](first(values))
        for layer in between:
            inner = inner * layer(values)
        return last(inner)


class _Attention(nn.Module):
    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        queries, keys = spec.heads * spec.size, spec.groups * spec.size
        if len(spec.query_key_value) == 1:
            put(self, spec.query_key_value[0], nn.Linear(spec.width, 3 * queries, bias=spec.has_qkv_bias))
        else:
            for name, outputs in zip(spec.query_key_value, (queries, keys, keys), strict=True):
                put(self, name, nn.Linear(spec.width, outputs, bias=spec.has_qkv_bias))
        put(self, spec.output, nn.Linear(queries, spec.width, bias=spec.has_output_bias))
        if spec.qk_norm:
            for name, along in zip(spec.qk_norms, (queries, keys), strict=True):
                put(self, name, _norm(spec, spec.size if spec.qk_norm == "head" else along))

    def forward(self, values: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor) -> Tensor:
        spec = self.spec
        query, key, value = self._heads(values)
        query, key = rotated(query, cosine, sine), rotated(key, cosine, sine)
        mixed = attend(query, key, value, spec.scale, mask=mask, cap=spec.attention_cap)
        return self.get_submodule(spec.output)(mixed)

    def _heads(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [batch, heads, tokens, size]."""
        spec = self.spec
        layers = [self.get_submodule(name) for name in spec.query_key_value]
        if len(layers) == 1:
            query, key, value = heads_of(layers[0](values), 3 * spec.size).chunk(3, dim=-1)
            return query, key, value
        query, key, value = (layer(values) for layer in layers)
        if spec.qk_norm == "all":
            query, key = self._normed(query, key)
        query, key, value = (heads_of(each, spec.size) for each in (query, key, value))
        if spec.qk_norm == "head":
            query, key = self._normed(query, key)
        return query, key, value

    def _normed(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (self.get_submodule(name) for name in self.spec.qk_norms)
        return first(query), second(key)


def _norm(spec: DecoderSpec, size: int) -> nn.Module:
    if spec.norm == "layer":
        return nn.LayerNorm(size, eps=spec.eps)
    return RMSNorm(size, spec.eps, offset=1.0 if spec.norm == "rms+1" else 0.0)


def _rounded(value: float, dtype: torch.dtype) -> float:
    """A number as a tensor of that dtype holds it; float32 for float64, as libraries keep constants."""
    if dtype is torch.float16:
        return float(struct.unpack("e", struct.pack("e", value))[0])
    (bits,) = struct.unpack("I", struct.pack("f", value))
    if dtype is torch.bfloat16:
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(struct.unpack("f", struct.pack("I", bits))[0])
