"""Mixtral: as Mistral, with experts in place of the MLP."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import Mixture, reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import all_sliding, llama_like

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "mixtral":
        return None
    fields = Fields(config, _TITLE)
    layers = fields.layers("num_hidden_layers", shapes)
    # In memory, transformers 5 holds all experts in one tensor; in files, each has its own.
    packed = any(name.endswith("layers.0.mlp.gate.weight") for name in shapes)
    experts = fields.whole("num_local_experts", high=4096)
    if not packed and experts * layers > len(shapes):
        fields.refuse("num_local_experts", f"more than there are tensors ({len(shapes)})")
    spec = llama_like(
        fields,
        config,
        shapes,
        _TITLE,
        theta=1e6,
        eps=1e-5,
        windows=all_sliding(fields, layers, None),
        mixture=Mixture(
            name="mlp" if packed else "block_sparse_moe",
            experts=experts,
            chosen=fields.whole("num_experts_per_tok", high=experts),
            packed=packed,
        ),
    )
    fields.finish()
    return reference(spec)
