"""Gemma: as Llama, with gains stored one below, scaled embeddings, and tied ones."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import activation_name
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "gemma":
        return None
    fields = Fields(config, _TITLE)
    fields.only("use_bidirectional_attention", False)
    # Where the old field is there, libraries took this one's default for it.
    fields.only("hidden_activation", "gelu_pytorch_tanh")
    activation = activation_name(fields, "hidden_act", "gelu_pytorch_tanh")
    has_bias = fields.flag("attention_bias", False)
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        size=256,
        is_tied=True,
        # The first files say `gelu` and mean this one, as the library knows.
        activation="gelu_pytorch_tanh" if activation == "gelu" else activation,
        norm="rms+1",
        embedding_scale=fields.whole("hidden_size") ** 0.5,
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
    )
    fields.finish()
    return reference(spec)
