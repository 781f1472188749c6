"""GPT-2: learned positions, LayerNorm before each branch, weights stored as [inputs, outputs]."""

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
_HARMLESS = {
    "n_ctx",
    "reorder_and_upcast_attn",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
}


@dataclass(frozen=True)
class _Spec:
    prefix: str
    vocabulary: int
    positions: int
    width: int
    hidden: int
    layers: int
    heads: int
    activation: str
    eps: float
    is_scaled: bool
    is_scaled_by_layer: bool
    head: Head


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "gpt2":
        return None
    fields = Fields(config, _TITLE, harmless=_HARMLESS)
    prefix = "transformer." if "transformer.wte.weight" in shapes else ""
    width, heads = fields.whole("n_embd"), fields.whole("n_head")
    if width % heads:
        raise Refusal(f"{_TITLE}: {width} entries of its stream are no {heads} heads")
    vocabulary = fields.whole("vocab_size")
    spec = _Spec(
        prefix=prefix,
        vocabulary=vocabulary,
        positions=fields.whole("n_positions"),
        width=width,
        hidden=fields.whole("n_inner", 4 * width),
        layers=fields.layers("n_layer", shapes),
        heads=heads,
        activation=activation_name(fields, "activation_function", "gelu_new"),
        eps=fields.number("layer_norm_epsilon", 1e-5),
        is_scaled=fields.flag("scale_attn_weights", True),
        is_scaled_by_layer=fields.flag("scale_attn_by_inverse_layer_idx", False),
        head=told_head(shapes, config, prefix, vocabulary=vocabulary, is_tied=fields.flag("tie_word_embeddings", True)),
    )
    fields.finish()
    text = f"{_TITLE}{spec.head.text}, {counted(spec.layers, 'layer')}, {counted(heads, 'head')}"
    tokens = min(6, spec.positions)
    inputs = partial(token_inputs, vocabulary, tokens=tokens)
    return ReferenceModule(_TITLE, text, partial(_GPT2, spec), inputs, r".*\bh\.\d+\.attn\.(?:bias|masked_bias)")


class Conv1D(nn.Module):
    """A linear layer whose weight is stored as [inputs, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, values: Tensor) -> Tensor:
        return torch.matmul(values, self.weight) + self.bias


class _GPT2(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        embedding = put(self, f"{spec.prefix}wte", nn.Embedding(spec.vocabulary, spec.width))
        put(self, f"{spec.prefix}wpe", nn.Embedding(spec.positions, spec.width))
        for layer in range(spec.layers):
            put(self, f"{spec.prefix}h.{layer}", _Layer(spec, layer))
        put(self, f"{spec.prefix}ln_f", nn.LayerNorm(spec.width, eps=spec.eps))
        put_head(self, spec.head, spec.width, embedding)

    def forward(self, tokens: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        prefix = self.spec.prefix
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.get_submodule(f"{prefix}wte")(tokens) + self.get_submodule(f"{prefix}wpe")(positions)
        for layer in range(self.spec.layers):
            hidden = self.get_submodule(f"{prefix}h.{layer}")(hidden)
        return apply_head(self, self.spec.head, self.get_submodule(f"{prefix}ln_f")(hidden))


class _Layer(nn.Module):
    def __init__(self, spec: _Spec, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.attn = _Attention(spec, layer)
        self.ln_2 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.mlp = _MLP(spec)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden))
        return hidden + self.mlp(self.ln_2(hidden))


class _MLP(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[spec.activation]
        self.c_fc = Conv1D(spec.width, spec.hidden)
        self.c_proj = Conv1D(spec.hidden, spec.width)

    def forward(self, values: Tensor) -> Tensor:
        return self.c_proj(self.activation(self.c_fc(values)))


class _Attention(nn.Module):
    def __init__(self, spec: _Spec, layer: int) -> None:
        super().__init__()
        self.size = spec.width // spec.heads
        self.scale = self.size**-0.5 if spec.is_scaled else 1.0
        if spec.is_scaled_by_layer:
            self.scale /= layer + 1
        self.c_attn = Conv1D(spec.width, 3 * spec.width)
        self.c_proj = Conv1D(spec.width, spec.width)

    def forward(self, values: Tensor) -> Tensor:
        query, key, value = self.c_attn(values).split(values.shape[-1], dim=2)
        query, key, value = (heads_of(each, self.size) for each in (query, key, value))
        return self.c_proj(attend(query, key, value, self.scale, mask=causal_mask(values.shape[1], values)))
