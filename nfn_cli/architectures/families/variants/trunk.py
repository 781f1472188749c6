"""What the configurations of most decoders have in common."""

from __future__ import annotations

from typing import Any

from nfn_cli.architectures.families.decoder import DecoderSpec, group_count, head_sizes
from nfn_cli.architectures.families.family import Config, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import activation_name
from nfn_cli.architectures.families.parts.heads import told_head
from nfn_cli.architectures.families.parts.rotary import rotary


def llama_like(
    fields: Fields,
    config: Config,
    shapes: Shapes,
    title: str,
    *,
    size: int | None = None,
    needs_groups: bool = True,
    is_tied: bool = False,
    theta: float = 10_000.0,
    eps: float = 1e-6,
    activation: str | None = None,
    windows: tuple[int | None, ...] | None = None,
    scale: float | None = None,
    cap: float | None = None,
    **changes: Any,
) -> DecoderSpec:
    """The description of a decoder whose configuration has Llama's fields.

    Args:
        size: entries of a head where the configuration does not tell; None for width / heads.
        needs_groups: whether `num_key_value_heads` must be there, as the family has another default than the heads.
        is_tied: where `tie_word_embeddings` does not tell.
        theta, eps: where the configuration does not tell.
        activation: of the MLP; None where `hidden_act` tells it.
        windows: of the layers; None for none.
        scale: of the scores; None for 1 / √size.
        cap: of the logits.
        changes: more of `DecoderSpec`.
    """
    width, vocabulary = fields.whole("hidden_size"), fields.whole("vocab_size")
    heads, size = head_sizes(fields, title, width, size)
    layers = fields.layers("num_hidden_layers", shapes)
    prefix = prefix_of(shapes, "model.", "embed_tokens")
    tied = fields.flag("tie_word_embeddings", is_tied)
    return DecoderSpec(
        title=title,
        prefix=prefix,
        width=width,
        hidden=fields.whole("intermediate_size"),
        layers=layers,
        vocabulary=vocabulary,
        heads=heads,
        groups=group_count(fields, title, heads, is_required=needs_groups),
        size=size,
        rotary=rotary(fields, title, size, theta=theta),
        head=told_head(shapes, config, prefix, vocabulary=vocabulary, is_tied=tied, cap=cap),
        eps=fields.number("rms_norm_eps", eps),
        activation=activation or activation_name(fields, "hidden_act", "silu"),
        windows=windows or (None,) * layers,
        scale=scale or size**-0.5,
        **changes,
    )


def prefix_of(shapes: Shapes, prefix: str, embedding: str) -> str:
    """The prefix if the trunk's names have it, else an empty one."""
    return prefix if f"{prefix}{embedding}.weight" in shapes else ""


def all_sliding(fields: Fields, layers: int, window: int | None) -> tuple[int | None, ...]:
    """How many tokens each layer sees, by `sliding_window`, else by the family's own window (Mistral)."""
    # Null is not missing here: it turns the window off.
    told = window if "sliding_window" not in fields else fields.whole_or_none("sliding_window")
    return (told,) * layers


def some_sliding(fields: Fields, layers: int) -> tuple[int | None, ...]:
    """How many tokens each layer sees, by `use_sliding_window` and `layer_types` or `max_window_layers` (Qwen)."""
    window = all_sliding(fields, 1, 4096)[0]
    first = fields.whole("max_window_layers", 28, low=0)
    is_on = fields.flag("use_sliding_window", False)
    ordinary = tuple("sliding_attention" if layer >= first else "full_attention" for layer in range(layers))
    return _of_kinds(fields, layers, window if is_on else None, ordinary)


def alternately_sliding(fields: Fields, layers: int) -> tuple[int | None, ...]:
    """How many tokens each layer sees, by `layer_types`; else every other one slides, the first included (Gemma 2)."""
    window = all_sliding(fields, 1, 4096)[0]
    ordinary = tuple("full_attention" if layer % 2 else "sliding_attention" for layer in range(layers))
    return _of_kinds(fields, layers, window, ordinary)


def _of_kinds(fields: Fields, layers: int, window: int | None, ordinary: tuple[str, ...]) -> tuple[int | None, ...]:
    told = fields.words("layer_types", layers, ("full_attention", "sliding_attention"))
    if told is not None and window is None and "sliding_attention" in told:
        fields.refuse("layer_types", "layers slide, and no window is told")
    return tuple(window if kind == "sliding_attention" else None for kind in told or ordinary)
