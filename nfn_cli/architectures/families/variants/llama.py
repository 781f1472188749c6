"""Llama: RMSNorm before each branch, grouped heads, a gated MLP."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "llama":
        return None
    fields = Fields(config, _TITLE, harmless={"pretraining_tp"})
    has_bias = fields.flag("attention_bias", False)
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        needs_groups=False,
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
        has_mlp_bias=fields.flag("mlp_bias", False),
    )
    fields.finish()
    return reference(spec)
