"""GPT-NeoX: LayerNorm, queries, keys and values in one layer head by head, a part of each head rotated."""

from __future__ import annotations

from nfn_cli.architectures.families.decoder import DecoderSpec, head_sizes, reference
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
    if config.get("model_type") != "gpt_neox":
        return None
    fields = Fields(config, _TITLE)
    width, vocabulary = fields.whole("hidden_size"), fields.whole("vocab_size")
    heads, size = head_sizes(fields, _TITLE, width)
    layers = fields.layers("num_hidden_layers", shapes)
    prefix = prefix_of(shapes, "gpt_neox.", "embed_in")
    fields.only("is_decoder", False, True)  # it is causal with either
    is_tied = fields.flag("tie_word_embeddings", False)
    has_bias = fields.flag("attention_bias", True)
    positions = rotary(fields, _TITLE, size, part=0.25, theta_field="rotary_emb_base", part_field="rotary_pct")
    names = ("embed_out", "lm_head")  # in files, and in memory since transformers 5
    spec = DecoderSpec(
        title=_TITLE,
        prefix=prefix,
        width=width,
        hidden=fields.whole("intermediate_size"),
        layers=layers,
        vocabulary=vocabulary,
        heads=heads,
        groups=heads,
        size=size,
        rotary=positions,
        head=told_head(shapes, config, prefix, vocabulary=vocabulary, is_tied=is_tied, names=names),
        eps=fields.number("layer_norm_eps", 1e-5),
        activation=activation_name(fields, "hidden_act", "gelu"),
        windows=(None,) * layers,
        scale=size**-0.5,
        attention="attention",
        query_key_value=("query_key_value",),
        output="dense",
        mlp=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
        embedding="embed_in",
        final_norm="final_layer_norm",
        norm="layer",
        is_parallel=fields.flag("use_parallel_residual", True),
        has_qkv_bias=has_bias,
        has_output_bias=has_bias,
        has_mlp_bias=True,
        ignored=r".*\.attention\.(?:bias|masked_bias|rotary_emb\.inv_freq)",
    )
    fields.finish()
    return reference(spec)
