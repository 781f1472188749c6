"""Where the decoders that are read by `config.json` keep their layers: names of tensors and of fields.

>>> layout_of({"model_type": "gpt2"}).layer
'h.'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layout:
    """Names in a family's modules and configurations. Names of tensors end in `.weight`, which is left out here.

    Attributes:
        trunk: what names of the trunk begin with, where there is a head.
        layer: of the layers, in front of their numbers.
        embedding: of tokens.
        vocabulary: of all tensors, also outside the trunk, with a row a token.
        positions: the field and the tensor of learned positions; None without.
        query_key_value: three names, or one for all.
        output: behind the attention.
        feeds: what feeds the MLP's neurons; of a gated one the gate first.
        down: what reads them.
        before, behind: norms in front of the attention and the MLP, and behind them; None where there is none.
        offset: of a stored gain below the real one.
        transposed: whether weights are [inputs, outputs].
        depth_field and the other fields: what the numbers of layers, of tokens, and so on are called.
        is_fused_by_head: whether one tensor for all of the attention holds them head by head, not one behind the other.
        has_plain_scores: whether scores are products of queries and keys as their layers give them.
    """

    trunk: str = "model."
    layer: str = "layers."
    embedding: str = "embed_tokens"
    vocabulary: tuple[str, ...] = ("lm_head",)
    positions: tuple[str, str] | None = None
    query_key_value: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    output: str = "self_attn.o_proj"
    feeds: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    down: str = "mlp.down_proj"
    before: tuple[str | None, str | None] = ("input_layernorm", "post_attention_layernorm")
    behind: tuple[str | None, str | None] = (None, None)
    offset: float = 0.0
    transposed: bool = False
    depth_field: str = "num_hidden_layers"
    tokens_field: str = "vocab_size"
    width_field: str = "hidden_size"
    inner_field: str = "intermediate_size"
    heads_field: str = "num_attention_heads"
    groups_field: str = "num_key_value_heads"
    is_fused_by_head: bool = False
    has_plain_scores: bool = True


_LLAMA = Layout()
LAYOUTS: Mapping[str, Layout] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": Layout(has_plain_scores=False),
    "gemma": Layout(offset=1.0),
    "gemma2": Layout(
        before=("input_layernorm", "pre_feedforward_layernorm"),
        behind=("post_attention_layernorm", "post_feedforward_layernorm"),
        offset=1.0,
    ),
    "olmo2": Layout(
        before=(None, None),
        behind=("post_attention_layernorm", "post_feedforward_layernorm"),
        has_plain_scores=False,
    ),
    "phi": Layout(
        output="self_attn.dense",
        feeds=("mlp.fc1",),
        down="mlp.fc2",
        before=("input_layernorm", "input_layernorm"),
        has_plain_scores=False,
    ),
    "gpt_neox": Layout(
        trunk="gpt_neox.",
        embedding="embed_in",
        vocabulary=("embed_out", "lm_head"),
        query_key_value=("attention.query_key_value",),
        output="attention.dense",
        feeds=("mlp.dense_h_to_4h",),
        down="mlp.dense_4h_to_h",
        is_fused_by_head=True,
    ),
    "gpt2": Layout(
        trunk="transformer.",
        layer="h.",
        embedding="wte",
        positions=("n_positions", "wpe"),
        query_key_value=("attn.c_attn",),
        output="attn.c_proj",
        feeds=("mlp.c_fc",),
        down="mlp.c_proj",
        before=("ln_1", "ln_2"),
        transposed=True,
        depth_field="n_layer",
        width_field="n_embd",
        inner_field="n_inner",
        heads_field="n_head",
    ),
}


def layout_of(config: Mapping[str, Any]) -> Layout | None:
    """The layout of a configuration's family; None for one that has none here."""
    told = config.get("model_type")
    return LAYOUTS.get(told) if isinstance(told, str) else None
