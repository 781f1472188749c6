"""Phi: LayerNorm, biases everywhere, attention and MLP side by side, a part of each head rotated."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import DecoderSpec, Norms, group_count, head_sizes, reference
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import activation_name
from nfn_cli.architectures.families.parts.heads import told_head
from nfn_cli.architectures.families.parts.rotary import rotary
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.variants.trunk import prefix_of

_TITLE = name_of(__name__)


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "phi":
        return None
    fields = Fields(config, _TITLE)
    width, vocabulary = fields.whole("hidden_size"), fields.whole("vocab_size")
    heads, size = head_sizes(fields, _TITLE, width)
    layers = fields.layers("num_hidden_layers", shapes)
    prefix = prefix_of(shapes, "model.", "embed_tokens")
    is_tied = fields.flag("tie_word_embeddings", False)
    spec = DecoderSpec(
        title=_TITLE,
        prefix=prefix,
        width=width,
        hidden=fields.whole("intermediate_size"),
        layers=layers,
        vocabulary=vocabulary,
        heads=heads,
        groups=group_count(fields, _TITLE, heads),
        size=size,
        rotary=rotary(fields, _TITLE, size, part=0.5),
        head=told_head(shapes, config, prefix, vocabulary=vocabulary, is_tied=is_tied, has_bias=True),
        eps=fields.number("layer_norm_eps", 1e-5),
        activation=activation_name(fields, "hidden_act", "gelu_new"),
        windows=(None,) * layers,
        scale=size**-0.5,
        output="dense",
        mlp=("mlp.fc1", "mlp.fc2"),
        norms=Norms(before_mlp=None),
        final_norm="final_layernorm",
        norm="layer",
        qk_norm="head" if fields.flag("qk_layernorm", False) else None,
        qk_norms=("q_layernorm", "k_layernorm"),
        is_parallel=True,
        has_qkv_bias=True,
        has_output_bias=True,
        has_mlp_bias=True,
    )
    fields.finish()
    return reference(spec)
