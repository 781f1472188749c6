"""The common part of two decoders with other numbers of layers, MLP neurons or tokens.

Layers are matched in order (see `ordered_layers`) by what they do to the residual stream, and streams by the embeddings
of the tokens that both have. MLP neurons of a narrower network are found by what feeds them alone (of a gated MLP: by
the gate), so that what else they have remains evidence. The tensors themselves are cut and moved nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfn_cli.architectures.families import differing_field
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import shown
from nfn_cli.symmetry.kinship.cosines import cosines
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut
from nfn_cli.symmetry.kinship.shapes.decoder import Decoder, Streams, fed_rows, similarities, streams_of
from nfn_cli.symmetry.kinship.shapes.labelled_part import read_labelled_part
from nfn_cli.symmetry.kinship.shapes.layouts import layout_of
from nfn_cli.symmetry.kinship.shapes.neurons import matched
from nfn_cli.symmetry.kinship.shapes.ordered_layers import Ordered, ordered_layers
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched

if TYPE_CHECKING:
    from nfn_cli.symmetry.labelled.source import LabelledSource

# They may follow from the number of layers, and say which tokens a layer sees, not what its weights are.
_OF_LAYERS = ("layer_types", "max_window_layers")
_OF_LENGTH = ("max_position_embeddings",)

Pair = tuple[int, int]


def common_part_of_decoders(
    reference: LabelledSource, source: LabelledSource, tracer: NetworkTracer
) -> CommonPart | Unmatched:
    """Cut two decoders to the layers, tokens and MLP neurons that both have.

    Raises:
        CheckpointError: a tensor cannot be read.
        UsageError: SciPy is needed and missing.
    """
    told, tells = reference.network.config, source.network.config
    if told is None or tells is None:
        return Unmatched("networks of other shapes are cut by their configurations, and one has none")
    layout, configs = layout_of(told), (told, tells)
    if layout is None or told.get("model_type") != tells.get("model_type"):
        kinds = dict.fromkeys(shown(config.get("model_type")) for config in configs)
        what = " and ".join(kinds) if len(kinds) > 1 else reference.reading.text
        return Unmatched(f"networks of different shapes are not matched for {what}")
    ours, theirs = Decoder(reference, layout), Decoder(source, layout)
    free = {layout.depth_field, layout.tokens_field, layout.inner_field, *_OF_LAYERS, *_OF_LENGTH}
    free |= set() if layout.positions is None else {layout.positions[0]}
    trimmed = [{name: value for name, value in config.items() if name not in free} for config in configs]
    if (field := differing_field(trimmed[0], trimmed[1])) is not None:
        return Unmatched(f"their configurations differ in {shown(field)}")
    streams = streams_of(ours, theirs)
    assumed = []
    if ours.tokens != theirs.tokens:
        assumed.append(f"the first {min(ours.tokens, theirs.tokens):,} tokens of both vocabularies are the same")
    ordered = _layers(ours, theirs, streams)
    if isinstance(ordered, Unmatched):
        return ordered
    pairs = [(a, b) for a, b in ordered.pairs if a is not None and b is not None]
    if ours.depth != theirs.depth:
        assumed.append("layers correspond in order, as their effects on the stream say")
    if ordered.twins:
        which = ", ".join(f"{ours.layer(a)[:-1]} and {theirs.layer(b)[:-1]}" for a, b in ordered.twins)
        assumed.append(f"layers were copied, and the more similar copy was taken ({which} would do as well)")
    inner: list[tuple[Tensor, Tensor]] = []
    if ours.inner != theirs.inner:
        fewer, more = sorted((ours.inner, theirs.inner))
        assumed.append(f"the {fewer:,} MLP neurons of a layer are those of the {more:,} with the most similar inputs")
        inner = [_neurons(ours, theirs, pair, streams) for pair in pairs]
    changed = {
        layout.depth_field: len(pairs),
        layout.tokens_field: min(ours.tokens, theirs.tokens),
        layout.inner_field: min(ours.inner, theirs.inner),
    }
    if layout.positions is not None:
        name = f"{ours.trunk}{layout.positions[1]}.weight"
        changed[layout.positions[0]] = min(ours.shapes[name][0], theirs.shapes[name][0])
    same = {name: told.get(name) for name in (*_OF_LAYERS, *_OF_LENGTH) if name in told or name in tells}
    types = same.get("layer_types")
    if isinstance(types, list):
        same["layer_types"] = [types[a] for a, _ in pairs]
    parts = []
    for side, decoder in enumerate((ours, theirs)):
        numbers = [pair[side] for pair in pairs]
        kept = [own[side].sort().values for own in inner]
        cuts = _cuts(decoder, numbers, kept, changed)
        config = {name: value for name, value in configs[side].items() if name not in same} | changed
        config |= {name: value for name, value in same.items() if value is not None}
        found = read_labelled_part(decoder.source, cuts, config, tracer)
        if isinstance(found, Unmatched):
            return found
        parts.append((found, cuts))
    names = tuple(
        (None if a is None else ours.layer(a)[:-1], None if b is None else theirs.layer(b)[:-1])
        for a, b in ordered.pairs
    )
    original = {name: own.name for name, own in parts[0][1].items()}
    return CommonPart(parts[0][0], parts[1][0], names, "; ".join(assumed), original)


def _layers(ours: Decoder, theirs: Decoder, streams: Streams) -> Ordered | Unmatched:
    if ours.depth == theirs.depth:
        return Ordered(tuple((number, number) for number in range(ours.depth)), ())
    return ordered_layers(similarities(ours, theirs, streams))


def _neurons(ours: Decoder, theirs: Decoder, pair: Pair, streams: Streams) -> tuple[Tensor, Tensor]:
    rows = fed_rows(ours, pair[0], streams.ours), fed_rows(theirs, pair[1], streams.theirs)
    return matched(cosines(*rows))


def _cuts(decoder: Decoder, numbers: list[int], inner: list[Tensor], sizes: Mapping[str, int]) -> dict[str, Cut]:
    """The tensors of the part, by the module's names.

    Args:
        numbers: of the layers that are kept. inner: of each, the MLP neurons that are kept; empty for all.
        sizes: by field.
    """
    layout, names = decoder.layout, decoder.source.network.names
    tokens = {name for own in (f"{decoder.trunk}{layout.embedding}", *layout.vocabulary) for name in _tensors(own)}
    positions = set() if layout.positions is None else set(_tensors(f"{decoder.trunk}{layout.positions[1]}"))
    feeds = {name for own in layout.feeds for name in _tensors(own)}
    cuts = {}
    layers = f"{decoder.trunk}{layout.layer}"
    for name, own in names.items():
        if name.startswith(layers):
            continue
        rows = sizes[layout.tokens_field] if name in tokens else None
        if layout.positions is not None and name in positions:
            rows = sizes[layout.positions[0]]
        cuts[name] = Cut(own, {} if rows is None or rows == decoder.shapes[name][0] else {0: torch.arange(rows)})
    for place, number in enumerate(numbers):
        for short, name in decoder.of_layer(number):
            kept: dict[int, Tensor] = {}
            if inner and short in feeds:
                kept[int(layout.transposed and short.endswith(".weight"))] = inner[place]
            elif inner and short == f"{layout.down}.weight":
                kept[int(not layout.transposed)] = inner[place]
            cuts[decoder.layer(place) + short] = Cut(names[name], kept)
    return cuts


def _tensors(name: str) -> tuple[str, str]:
    return f"{name}.weight", f"{name}.bias"
