"""Qwen2: as Llama, with biases of queries, keys and values."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import llama_like, some_sliding

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "qwen2":
        return None
    fields = Fields(config, _TITLE)
    fields.only("use_mrope", False)
    windows = some_sliding(fields, fields.layers("num_hidden_layers", shapes))
    spec = llama_like(fields, config, shapes, _TITLE, windows=windows, has_qkv_bias=True)
    fields.finish()
    return reference(spec)
