"""Mistral: as Llama, with a window of tokens that each layer sees."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import all_sliding, llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "mistral":
        return None
    fields = Fields(config, _TITLE)
    windows = all_sliding(fields, fields.layers("num_hidden_layers", shapes), 4096)
    spec = llama_like(fields, config, shapes, _TITLE, windows=windows)
    fields.finish()
    return reference(spec)
