"""OLMo 2: as Llama, with norms behind each branch, and along all queries and all keys."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import Norms, reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "olmo2":
        return None
    fields = Fields(config, _TITLE)
    has_bias = fields.flag("attention_bias", False)
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        needs_groups=False,
        eps=1e-5,
        norms=Norms(None, "post_attention_layernorm", None, "post_feedforward_layernorm"),
        qk_norm="all",
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
    )
    fields.finish()
    return reference(spec)
