"""T5: RMSNorm before each branch, one table of biases by distance for all layers; encoder alone or with decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, Inputs, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS
from nfn_cli.architectures.families.parts.attention import attend, causal_mask, heads_of
from nfn_cli.architectures.families.parts.heads import token_inputs
from nfn_cli.architectures.families.parts.norms import RMSNorm
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.words import counted

_TITLE = name_of(__name__)
_UNREAD = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


@dataclass(frozen=True)
class _Spec:
    vocabulary: int
    width: int
    size: int
    hidden: int
    layers: int
    decoder_layers: int
    heads: int
    buckets: int
    distance: int
    eps: float
    activation: str
    is_gated: bool
    has_logits: bool
    is_tied: bool
    is_scaled: bool

    @property
    def text(self) -> str:
        what = f" and {counted(self.decoder_layers, 'decoder layer')}" if self.decoder_layers else ", encoder alone"
        head = "" if self.has_logits or not self.decoder_layers else " without a head"
        return f"{_TITLE}{head}, {counted(self.layers, 'layer')}{what}, {counted(self.heads, 'head')}"


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "t5":
        return None
    # Which of encoder and decoder there is, names tell; `n_positions` is read by nobody.
    fields = Fields(config, _TITLE, harmless={"n_positions", "is_encoder_decoder"})
    has_decoder = any(name.startswith("decoder.") for name in shapes)
    layers = fields.layers("num_layers", shapes)
    decoder_layers = fields.layers("num_decoder_layers", shapes) if fields.has("num_decoder_layers") else layers
    activation, is_gated = _activation(fields)
    is_tied = fields.flag("tie_word_embeddings", True)
    is_scaled = fields.flag("scale_decoder_outputs", is_tied)
    classes = config.get("architectures")
    is_trunk = isinstance(classes, list) and classes[:1] == ["T5Model"]
    vocabulary = fields.whole("vocab_size")
    spec = _Spec(
        vocabulary=vocabulary,
        width=fields.whole("d_model"),
        size=fields.whole("d_kv"),
        hidden=fields.whole("d_ff"),
        layers=layers,
        decoder_layers=decoder_layers if has_decoder else 0,
        heads=fields.whole("num_heads"),
        buckets=fields.whole("relative_attention_num_buckets", 32, low=4),
        distance=fields.whole("relative_attention_max_distance", 128, low=4),
        eps=fields.number("layer_norm_epsilon", 1e-6),
        activation=activation,
        is_gated=is_gated,
        has_logits=has_decoder and ("lm_head.weight" in shapes or not is_trunk),
        # Since transformers 5 the configuration says tied in any case, and the scale tells the two versions apart.
        is_tied=is_tied and (is_scaled or "lm_head.weight" not in shapes),
        is_scaled=is_scaled,
    )
    if spec.buckets // (2 if not has_decoder else 1) // 2 >= spec.distance:
        fields.refuse("relative_attention_max_distance", "below the distances that have buckets of their own")
    fields.finish()
    inputs = partial(_inputs, vocabulary, has_decoder)
    return ReferenceModule(_TITLE, spec.text, partial(_T5, spec), inputs, _UNREAD.replace(".", r"\."))


def _activation(fields: Fields) -> tuple[str, bool]:
    """The activation of the MLP, and whether it is gated."""
    told = fields.word("feed_forward_proj", "relu")
    is_gated, name = told.startswith("gated-"), told.removeprefix("gated-")
    if told == "gated-gelu":
        name = "gelu_new"
    if name not in ACTIVATIONS:
        fields.refuse("feed_forward_proj", "no activation that is known")
    fields.only("dense_act_fn", name)
    fields.only("is_gated_act", is_gated)
    return name, is_gated


def _inputs(vocabulary: int, has_decoder: bool, batch: int, device: torch.device | str) -> Inputs:
    (tokens,), _ = token_inputs(vocabulary, batch, device)
    return ((tokens, token_inputs(vocabulary, batch, device, 4)[0][0]) if has_decoder else (tokens,)), {}


class _T5(nn.Module):
    """Tokens [batch, tokens], and the decoder's, to logits or hidden states of the decoder, or the encoder's alone."""

    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        self.shared = nn.Embedding(spec.vocabulary, spec.width)
        self.encoder = _Stack(spec, self.shared, spec.layers, is_decoder=False)
        if spec.decoder_layers:
            self.decoder = _Stack(spec, self.shared, spec.decoder_layers, is_decoder=True)
        if spec.has_logits:
            self.lm_head = nn.Linear(spec.width, spec.vocabulary, bias=False)
            if spec.is_tied:
                self.lm_head.weight = self.shared.weight

    def forward(self, tokens: Tensor, decoded: Tensor | None = None) -> Tensor:
        hidden = self.encoder(tokens)
        if decoded is None:
            return hidden
        hidden = self.decoder(decoded, hidden)
        if not self.spec.has_logits:
            return hidden
        return self.lm_head(hidden * self.spec.width**-0.5 if self.spec.is_scaled else hidden)


class _Stack(nn.Module):
    def __init__(self, spec: _Spec, embedding: nn.Embedding, layers: int, *, is_decoder: bool) -> None:
        super().__init__()
        self.spec, self.is_decoder = spec, is_decoder
        self.embed_tokens = embedding
        self.block = nn.ModuleList(_Block(spec, is_decoder=is_decoder) for _ in range(layers))
        put(self, f"{_TABLE}", nn.Embedding(spec.buckets, spec.heads))
        self.final_layer_norm = RMSNorm(spec.width, spec.eps)

    def forward(self, tokens: Tensor, encoded: Tensor | None = None) -> Tensor:
        hidden = self.embed_tokens(tokens)
        count = tokens.shape[1]
        buckets = _buckets(count, self.spec, tokens.device, is_decoder=self.is_decoder)
        bias = self.get_submodule(_TABLE)(buckets).permute(2, 0, 1).unsqueeze(0)
        mask = causal_mask(count, hidden) if self.is_decoder else None
        for block in self.block:
            hidden = block(hidden, bias, mask, encoded)
        return self.final_layer_norm(hidden)


_TABLE = "block.0.layer.0.SelfAttention.relative_attention_bias"


class _Block(nn.Module):
    def __init__(self, spec: _Spec, *, is_decoder: bool) -> None:
        super().__init__()
        self.is_decoder, self.mlp = is_decoder, 2 if is_decoder else 1
        put(self, "layer.0.SelfAttention", _Attention(spec))
        put(self, "layer.0.layer_norm", RMSNorm(spec.width, spec.eps))
        if is_decoder:
            put(self, "layer.1.EncDecAttention", _Attention(spec))
            put(self, "layer.1.layer_norm", RMSNorm(spec.width, spec.eps))
        put(self, f"layer.{self.mlp}.DenseReluDense", _MLP(spec))
        put(self, f"layer.{self.mlp}.layer_norm", RMSNorm(spec.width, spec.eps))

    def forward(self, hidden: Tensor, bias: Tensor, mask: Tensor | None, encoded: Tensor | None) -> Tensor:
        read = self._part("layer.0.layer_norm")(hidden)
        hidden = hidden + self._part("layer.0.SelfAttention")(read, read, bias, mask)
        if self.is_decoder:
            read = self._part("layer.1.layer_norm")(hidden)
            hidden = hidden + self._part("layer.1.EncDecAttention")(read, encoded, None, None)
        read = self._part(f"layer.{self.mlp}.layer_norm")(hidden)
        return hidden + self._part(f"layer.{self.mlp}.DenseReluDense")(read)

    def _part(self, name: str) -> nn.Module:
        return self.get_submodule(name)


class _Attention(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.size, inner = spec.size, spec.heads * spec.size
        self.q, self.k, self.v = (nn.Linear(spec.width, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, spec.width, bias=False)

    def forward(self, values: Tensor, sources: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
        query = heads_of(self.q(values), self.size)
        key, value = (heads_of(layer(sources), self.size) for layer in (self.k, self.v))
        return self.o(attend(query, key, value, 1.0, mask=mask, bias=bias))


class _MLP(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.activation, self.is_gated = ACTIVATIONS[spec.activation], spec.is_gated
        for name in ("wi_0", "wi_1") if spec.is_gated else ("wi",):
            put(self, name, nn.Linear(spec.width, spec.hidden, bias=False))
        self.wo = nn.Linear(spec.hidden, spec.width, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        if self.is_gated:
            gate, up = self.get_submodule("wi_0")(values), self.get_submodule("wi_1")(values)
            return self.wo(self.activation(gate) * up)
        return self.wo(self.activation(self.get_submodule("wi")(values)))


def _buckets(tokens: int, spec: _Spec, device: torch.device, *, is_decoder: bool) -> Tensor:
    """The row of the table for each token (row) and source (column): distances, large ones together by logarithms."""
    places = torch.arange(tokens, device=device)
    away = places[None, :] - places[:, None]
    buckets = spec.buckets if is_decoder else spec.buckets // 2
    if is_decoder:
        start, distance = torch.zeros_like(away), torch.clamp(-away, min=0)
    else:
        start, distance = (away > 0).to(torch.long) * buckets, away.abs()
    exact = buckets // 2
    logarithm = torch.log(torch.clamp(distance, min=1).to(torch.float32) / exact)
    far = exact + (logarithm / math.log(spec.distance / exact) * (buckets - exact)).to(torch.long)
    return start + torch.where(distance < exact, distance, torch.clamp(far, max=buckets - 1))
