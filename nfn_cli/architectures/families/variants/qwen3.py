"""Qwen3: as Llama, with RMSNorm along each head of queries and keys."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import llama_like, some_sliding

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "qwen3":
        return None
    fields = Fields(config, _TITLE)
    windows = some_sliding(fields, fields.layers("num_hidden_layers", shapes))
    has_bias = fields.flag("attention_bias", False)
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        size=128,
        windows=windows,
        qk_norm="head",
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
    )
    fields.finish()
    return reference(spec)
