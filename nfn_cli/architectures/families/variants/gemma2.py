"""Gemma 2: as Gemma, with norms around each branch, capped scores and logits, and windows in every other layer."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import Norms, reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import activation_name
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import alternately_sliding, llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "gemma2":
        return None
    fields = Fields(config, _TITLE, harmless={"hidden_act"})
    fields.only("use_bidirectional_attention", False)
    has_bias = fields.flag("attention_bias", False)
    # Null turns a cap off; a missing field leaves it at the family's value.
    caps = {
        name: fields.number_or_none(name) if name in fields else default
        for name, default in (("final_logit_softcapping", 30.0), ("attn_logit_softcapping", 50.0))
    }
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        size=256,
        is_tied=True,
        activation=activation_name(fields, "hidden_activation", "gelu_pytorch_tanh"),
        windows=alternately_sliding(fields, fields.layers("num_hidden_layers", shapes)),
        scale=fields.number("query_pre_attn_scalar", 256) ** -0.5,
        cap=caps["final_logit_softcapping"],
        attention_cap=caps["attn_logit_softcapping"],
        norm="rms+1",
        norms=Norms(
            after_attention="post_attention_layernorm",
            before_mlp="pre_feedforward_layernorm",
            after_mlp="post_feedforward_layernorm",
        ),
        embedding_scale=fields.whole("hidden_size") ** 0.5,
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
    )
    fields.finish()
    return reference(spec)
