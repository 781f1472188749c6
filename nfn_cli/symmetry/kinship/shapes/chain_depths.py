"""The common part of two chains of which one has more layers in one place.

Nothing carries a chain's neurons past a layer that only one network has. So neurons in front of that place are matched
from the inputs on, by what feeds them, and neurons behind it from the outputs back, by what reads them. At the right
place both fit, and at no other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from nfn_cli.symmetry.diagonal_kinds import group_kind
from nfn_cli.symmetry.kinship.cosines import cosines
from nfn_cli.symmetry.kinship.shapes.chains import (
    Partners,
    blocks_of,
    common_facts,
    cut,
    found_partners,
    group_behind,
    of_parts,
    outline,
    ratios,
    scaled_names,
)
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut
from nfn_cli.symmetry.kinship.shapes.neurons import above_chance, matched, mixed
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched
from nfn_cli.symmetry.transform import Source

_ALIKE = 0.3  # what a layer's similarity must be above chance, of what is left to 1
_MARGIN = 0.1  # of one layer, by which a place must be better than any other


@dataclass(frozen=True)
class _Place:
    """A place where the deeper network may have its other layers.

    Attributes:
        before: how many layers lie in front of it.
        front, behind: partners in the group in front of it, found from the inputs and from the outputs.
        alike: the similarity of each layer of the shallower network above chance.
    """

    before: int
    front: Partners
    behind: Partners
    alike: tuple[float, ...]


def common_part_of_depths(reference: Source, source: Source) -> CommonPart | Unmatched:
    """Cut the deeper of two chains to the layers of the other one.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    ours, theirs = (own.network.weights.architecture for own in (reference, source))
    if len(ours.layers) > len(theirs.layers):
        found = common_part_of_depths(source, reference)
        return found if isinstance(found, Unmatched) else _exchanged(found)
    if (cause := common_facts(ours, theirs)) is not None:
        return Unmatched(cause)
    if len(ours.starts) > 1 or len(theirs.starts) > 1 or ours.omegas or theirs.omegas:
        return Unmatched("other numbers of layers are compared in one chain with one activation alone")
    more = len(theirs.layers) - len(ours.layers)
    places = [place for before in range(1, len(ours.layers)) if (place := _place(reference, source, before, more))]
    if not places:
        return Unmatched("the layers of the one are none of the layers of the other with others between them")
    places.sort(key=lambda place: -sum(place.alike))
    best = places[0]
    if min(best.alike) < _ALIKE:
        weakest = ours.layers[best.alike.index(min(best.alike))].name
        return Unmatched(f"no place for the other layers is likely: {weakest} is like no layer that it could be")
    if len(places) > 1 and sum(best.alike) - sum(places[1].alike) < _MARGIN:
        one, two = (theirs.layers[place.before].name for place in places[:2])
        return Unmatched(f"it is not clear which layers are the other ones: those from {one} or from {two} on")
    return _without(reference, source, best, more)


def _exchanged(found: CommonPart) -> CommonPart:
    return replace(
        found,
        reference=found.source,
        source=found.reference,
        layers=tuple((two, one) for one, two in found.layers),
        original={name: name for name in found.source.checkpoint.tensors},
        ordered=tuple(f"{two}.weight" for one, two in found.layers if f"{one}.weight" in found.ordered),
    )


def _place(reference: Source, source: Source, before: int, more: int) -> _Place | None:
    """How well one place fits; None where the layers' kinds and widths differ."""
    ours, theirs = (own.network.weights.architecture for own in (reference, source))
    count = len(ours.layers)
    for place in range(count):
        other = place if place < before else place + more
        widths = [arch.layers[at].out_features for arch, at in ((ours, place), (theirs, other))]
        if outline(ours, place) != outline(theirs, other) or widths[0] != widths[1]:
            return None
    if theirs.layers[before + more - 1].out_features != ours.layers[before - 1].out_features:
        return None
    alike = [0.0] * count
    front: list[Partners] = []
    for place in range(before):
        front = [found_partners(reference, source, place, place, front)]
        alike[place] = front[0].alike
    behind: list[Partners] = []
    for place in range(count - 1, before - 1, -1):
        behind = [_readers(reference, source, place, place + more, behind)]
        alike[place] = behind[0].alike
    return _Place(before, front[0], behind[0], tuple(alike))


def _readers(reference: Source, source: Source, place: int, other: int, feeds: list[Partners]) -> Partners:
    """Partners of the neurons that a layer reads, by what it reads of them.

    Args:
        feeds: the partners among the neurons that it feeds; none for the last layer.
    """
    ours, theirs = blocks_of(reference, place), blocks_of(source, other)
    if feeds:
        ours, theirs = ours[feeds[0].ours], theirs[feeds[0].theirs]
        if f"{reference.network.weights.architecture.layers[place].name}.weight" in scaled_names(reference, place):
            theirs = theirs / feeds[0].factors[:, None, None]
    rows = [own.transpose(0, 1).flatten(1) for own in (ours, theirs)]
    architecture = reference.network.weights.architecture
    group = group_behind(architecture, place - 1)
    assert group is not None
    kind = group_kind(architecture, group)
    alike, chance = cosines(rows[0], rows[1]), cosines(rows[0], mixed(rows[1]))
    if kind.is_signed:
        alike, chance = alike.abs(), chance.abs()
    a, b = matched(alike)
    # B's columns are divided by what its neurons are multiplied by.
    factors = ratios(rows[1][b], rows[0][a], kind)
    return Partners(a, b, factors, above_chance(alike[a, b], chance))


def _without(reference: Source, source: Source, place: _Place, more: int) -> CommonPart | Unmatched:
    """B without its other layers. What reads the neurons in front of them is brought into their order and scales."""
    architecture = source.network.weights.architecture
    gone = range(place.before, place.before + more)
    kept = [torch.arange(group.size) for group in architecture.groups]
    front, behind = place.front, place.behind
    group, last = group_behind(architecture, place.before - 1), group_behind(architecture, gone[-1])
    assert group is not None and last is not None
    # By places in B in front of the gap: the partner's partner behind it.
    order = front.theirs.argsort()
    partner = behind.theirs[behind.ours.argsort()][front.ours]
    factors = behind.factors[behind.ours.argsort()][front.ours] / front.factors
    kept[last] = partner[order]
    removed = _owners(source, gone)
    cuts = {name: own for name, own in cut(source, kept).items() if name.rpartition(".")[0] not in removed}
    reader = f"{source.network.modules[gone[-1] + 1].prefix}weight"
    repeat = architecture.layers[gone[-1] + 1].spatial
    cuts[reader] = Cut(reader, cuts[reader].kept, factors[order].repeat_interleave(repeat))
    ours, theirs = reference.network.weights.architecture.layers, architecture.layers
    pairs: list[tuple[str | None, str | None]] = [
        (one.name, theirs[at if at < place.before else at + more].name) for at, one in enumerate(ours)
    ]
    names = (*pairs[: place.before], *((None, theirs[at].name) for at in gone), *pairs[place.before :])
    others = ", ".join(theirs[at].name for at in gone)
    assumed = (
        f"{others} lies between layers of the other network; the neurons in front of it were matched with it left out"
    )
    whole = cut(reference, [torch.arange(own.size) for own in reference.network.weights.architecture.groups])
    return of_parts(reference, source, whole, cuts, names, assumed, (f"{ours[place.before].name}.weight",))


def _owners(source: Source, places: range) -> set[str]:
    """Names of the modules of some layers: their own, their BatchNorm's, their stages'."""
    found = set()
    for place in places:
        layer = source.network.weights.architecture.layers[place]
        norm = source.network.norms.get(layer.name)
        found |= {source.network.modules[place].prefix.removesuffix("."), *([] if norm is None else [norm.name])}
        found |= {stage.name for stage in layer.stages}
    return found
