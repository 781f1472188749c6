"""The common part of two ResNets with other numbers of blocks in their stages, or other widths inside of blocks.

From the stem on, channels of the stream are matched by what writes them first: the stem, and the first block of each
further stage. Blocks are then compared as linear maps of the stream: their convolutions composed, BatchNorm folded in,
the activations between them left out. Such a map is summed over what lies inside of a block, so that no permutation or
scale of that changes it. Blocks are matched in order (see `ordered_layers`). Channels inside of a narrower block are
found by what feeds them alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfn_cli.architectures.families import cifar_resnet, resnet
from nfn_cli.architectures.traced import NetworkTracer, shapes_of
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind
from nfn_cli.symmetry.kinship.cosines import cosines
from nfn_cli.symmetry.kinship.shapes.chains import Partners, ratios
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut
from nfn_cli.symmetry.kinship.shapes.labelled_part import read_labelled_part
from nfn_cli.symmetry.kinship.shapes.neurons import matched
from nfn_cli.symmetry.kinship.shapes.ordered_layers import ordered_layers
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched

if TYPE_CHECKING:
    from nfn_cli.symmetry.labelled.source import LabelledSource

_EPSILON = 1e-5  # of a BatchNorm; PyTorch's default, which no file states
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(.+)")
_FAMILIES = (cifar_resnet.NAME, resnet.NAME)
_PROBES = 128  # combinations of a wide stream's channels that blocks are compared on
_OTHER_STAGE = -1.0

Place = tuple[int, int]  # a stage and a block, as in their names


@dataclass(frozen=True)
class ResNetOf:
    """A source whose network is a ResNet, by the names that its family has."""

    source: LabelledSource

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, by the module's names."""
        found = shapes_of(self.source.checkpoint)
        return {name: found[own] for name, own in self.source.network.names.items()}

    @cached_property
    def places(self) -> list[Place]:
        """All blocks in order."""
        found = {(int(match[1]), int(match[2])) for name in self.shapes if (match := _BLOCK.fullmatch(name))}
        return sorted(found)

    def depth(self, place: Place) -> int:
        """How many convolutions a block has on its branch."""
        return 3 if self.has(place, "conv3.weight") else 2

    def has(self, place: Place, part: str) -> bool:
        """Whether a block has a tensor."""
        return f"{block_name(place)}.{part}" in self.shapes

    def shortcut(self, place: Place) -> str | None:
        """The name of a block's shortcut with tensors; None without one."""
        return next((name for name in ("shortcut", "downsample") if self.has(place, f"{name}.0.weight")), None)

    def stream(self, place: Place) -> int:
        """Channels that a block writes."""
        return self.shapes[f"{block_name(place)}.conv{self.depth(place)}.weight"][0]

    def reads(self, place: Place) -> int:
        """Channels that a block reads."""
        return self.shapes[f"{block_name(place)}.conv1.weight"][1]

    def inner(self, place: Place) -> tuple[int, ...]:
        """Channels between a block's convolutions."""
        name = block_name(place)
        return tuple(self.shapes[f"{name}.conv{number}.weight"][0] for number in range(1, self.depth(place)))

    def folded(self, convolution: str, norm: str) -> tuple[Tensor, Tensor]:
        """A convolution and the BatchNorm behind it: weight [outputs, inputs, kernel] and bias, float64."""
        tensors, names = self.source.checkpoint.tensors, self.source.network.names
        own = {part: tensors[names[f"{norm}.{part}"]].double() for part in ("running_mean", "running_var")}
        for part, default in (("weight", 1.0), ("bias", 0.0)):
            name = names.get(f"{norm}.{part}")
            own[part] = torch.full_like(own["running_mean"], default) if name is None else tensors[name].double()
        gain = own["weight"] / (own["running_var"] + _EPSILON).sqrt()
        weight = tensors[names[f"{convolution}.weight"]].double().flatten(2)
        return weight * gain[:, None, None], own["bias"] - own["running_mean"] * gain


@dataclass(frozen=True)
class _Matched:
    """What two networks have in common so far.

    Attributes:
        similarity: of each block of A with each of B; -1 for those of two stages.
        streams: partners in the stream that each stage's blocks read, but for its first one.
        first: partners in the stream that the first block of each stage reads.
    """

    similarity: Tensor
    streams: Mapping[int, Partners]
    first: Mapping[int, Partners]


def is_resnet(source: LabelledSource, tracer: NetworkTracer) -> bool:
    """Whether it is a ResNet that was read by its names."""
    if source.network.how != "names":
        return False
    fitting = tracer.fitting(source.checkpoint, None)
    return fitting is not None and fitting.reference.family in _FAMILIES


def common_part_of_resnets(
    reference: LabelledSource, source: LabelledSource, tracer: NetworkTracer
) -> CommonPart | Unmatched:
    """Cut two ResNets to the blocks, and to the channels inside of them, that both have.

    Raises:
        CheckpointError: a tensor cannot be read.
        UsageError: SciPy is needed and missing.
    """
    ours, theirs = ResNetOf(reference), ResNetOf(source)
    found = _matched(ours, theirs)
    if isinstance(found, Unmatched):
        return found
    pairs = [(own, own) for own in ours.places]
    names: list[tuple[Place | None, Place | None]] = list(pairs)
    assumed = []
    if ours.places != theirs.places:
        ordered = ordered_layers(found.similarity)
        if isinstance(ordered, Unmatched):
            return ordered
        names = [
            (None if a is None else ours.places[a], None if b is None else theirs.places[b]) for a, b in ordered.pairs
        ]
        pairs = [(a, b) for a, b in names if a is not None and b is not None]
        if any(a[0] != b[0] for a, b in pairs):
            return Unmatched("blocks of one stage are like those of another one")
        assumed.append("blocks correspond in order, as their maps of the stream say")
        if ordered.twins:
            which = ", ".join(
                f"{block_name(ours.places[a])} and {block_name(theirs.places[b])}" for a, b in ordered.twins
            )
            assumed.append(f"blocks were copied, and the more similar copy was taken ({which} would do as well)")
    kept: list[tuple[list[Tensor], list[Tensor]]] = []
    for a, b in pairs:
        if ours.depth(a) != theirs.depth(b) or ours.shortcut(a) != theirs.shortcut(b):
            return Unmatched(f"{block_name(a)} and {block_name(b)} are blocks of two kinds")
        stream = found.first[a[0]] if _writes(ours, a) else found.streams[a[0]]
        inner = _inner(ours, theirs, a, b, stream)
        kept.append(([own.ours for own in inner], [own.theirs.sort().values for own in inner]))
        if ours.inner(a) != theirs.inner(b):
            assumed.append(f"channels inside of {block_name(a)} are those with the most similar inputs")
    parts = []
    for side, network in enumerate((ours, theirs)):
        cuts = _cuts(network, [pair[side] for pair in pairs], [own[side] for own in kept])
        part = read_labelled_part(network.source, cuts, None, tracer)
        if isinstance(part, Unmatched):
            return part
        parts.append((part, cuts))
    layers = tuple((None if a is None else block_name(a), None if b is None else block_name(b)) for a, b in names)
    original = {name: own.name for name, own in parts[0][1].items()}
    return CommonPart(parts[0][0], parts[1][0], layers, "; ".join(assumed), original)


def block_name(place: Place) -> str:
    """Such as `layer1.0`."""
    return f"layer{place[0]}.{place[1]}"


def _writes(network: ResNetOf, place: Place) -> bool:
    """Whether a block writes another stream than it reads."""
    return place[1] == 0 and (network.shortcut(place) is not None or network.reads(place) != network.stream(place))


def _matched(ours: ResNetOf, theirs: ResNetOf) -> _Matched | Unmatched:
    stages = {place[0] for place in ours.places}
    if stages != {place[0] for place in theirs.places}:
        return Unmatched("the networks have other numbers of stages")
    outside = [
        {name: own for name, own in each.shapes.items() if not _BLOCK.fullmatch(name)} for each in (ours, theirs)
    ]
    if outside[0] != outside[1]:
        return Unmatched("the networks differ outside of their blocks: in their inputs, outputs, or the stem's width")
    similarity = torch.full((len(ours.places), len(theirs.places)), _OTHER_STAGE, dtype=torch.float64)
    stream = _partners(_rows(ours.folded("conv1", "bn1"), None), _rows(theirs.folded("conv1", "bn1"), None))
    first, streams = {}, {}
    for stage in sorted(stages):
        a, b = ([place for place in each.places if place[0] == stage] for each in (ours, theirs))
        widths = {each.stream(place) for each, places in ((ours, a), (theirs, b)) for place in places}
        kinds = [(_writes(each, places[0]), each.depth(places[0])) for each, places in ((ours, a), (theirs, b))]
        if len(widths) > 1 or kinds[0] != kinds[1]:
            return Unmatched(f"the streams of stage {stage} have other widths, or its blocks are of two kinds")
        if any(_is_grouped(each, place) for each, places in ((ours, a), (theirs, b)) for place in places):
            return Unmatched("convolutions in groups are not matched")
        first[stage] = stream
        if kinds[0][0]:
            stream = _written(ours, theirs, a[0], b[0], stream)
        streams[stage] = stream
        for reading, own, other in (
            (first[stage], a[:1], b[:1]) if kinds[0][0] else (stream, a, b),
            (stream, a[1:], b[1:]) if kinds[0][0] else (stream, [], []),
        ):
            if own and other:
                found = cosines(
                    torch.stack([_map(ours, place, reading.ours, stream.ours, None, None) for place in own]),
                    torch.stack(
                        [
                            _map(theirs, place, reading.theirs, stream.theirs, reading.factors, stream.factors)
                            for place in other
                        ]
                    ),
                )
                rows = torch.tensor([ours.places.index(place) for place in own])
                columns = torch.tensor([theirs.places.index(place) for place in other])
                similarity[rows[:, None], columns] = found
    return _Matched(similarity, streams, first)


def _is_grouped(network: ResNetOf, place: Place) -> bool:
    before = network.reads(place)
    for number in range(1, network.depth(place) + 1):
        shape = network.shapes[f"{block_name(place)}.conv{number}.weight"]
        if shape[1] != before:
            return True
        before = shape[0]
    return False


def _rows(folded: tuple[Tensor, Tensor], read: tuple[Tensor, Tensor | None] | None) -> tuple[Tensor, Tensor]:
    """A convolution on some of its inputs, which are multiplied by factors."""
    weight, bias = folded
    if read is not None:
        weight = weight[:, read[0]]
        weight = weight if read[1] is None else weight * read[1][:, None]
    return weight, bias


def _partners(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], *more: tuple[Tensor, Tensor]) -> Partners:
    """Partners among the outputs of convolutions; `more` are further weights of both."""
    rows = [torch.cat([own[0].flatten(1), own[1][:, None]], 1) for own in (ours, theirs)]
    for a, b in more:
        rows = [torch.cat([rows[0], a.flatten(1)], 1), torch.cat([rows[1], b.flatten(1)], 1)]
    alike = cosines(rows[0], rows[1])
    a, b = matched(alike)
    return Partners(a, b, ratios(rows[0][a], rows[1][b], DiagonalKind.POSITIVE), alike[a, b].mean().item())


def _inner(ours: ResNetOf, theirs: ResNetOf, a: Place, b: Place, stream: Partners) -> list[Partners]:
    """Partners among the channels behind each convolution of a branch but the last, each by what feeds it."""
    found: list[Partners] = []
    for number in range(1, ours.depth(a)):
        found.append(_behind(ours, theirs, a, b, number, found[-1] if found else stream))
    return found


def _behind(ours: ResNetOf, theirs: ResNetOf, a: Place, b: Place, number: int, read: Partners) -> Partners:
    names = (f"{block_name(a)}.conv{number}", f"{block_name(a)}.bn{number}")
    others = (f"{block_name(b)}.conv{number}", f"{block_name(b)}.bn{number}")
    return _partners(
        _rows(ours.folded(*names), (read.ours, None)), _rows(theirs.folded(*others), (read.theirs, read.factors))
    )


def _written(ours: ResNetOf, theirs: ResNetOf, a: Place, b: Place, stream: Partners) -> Partners:
    """Partners in the stream that two first blocks of a stage write."""
    inner, last = _inner(ours, theirs, a, b, stream)[-1], ours.depth(a)
    more = []
    shortcuts = ours.shortcut(a), theirs.shortcut(b)
    if shortcuts[0] is not None and shortcuts[1] is not None:
        one = ours.folded(f"{block_name(a)}.{shortcuts[0]}.0", f"{block_name(a)}.{shortcuts[0]}.1")
        two = theirs.folded(f"{block_name(b)}.{shortcuts[1]}.0", f"{block_name(b)}.{shortcuts[1]}.1")
        more.append((_rows(one, (stream.ours, None))[0], _rows(two, (stream.theirs, stream.factors))[0]))
    return _partners(
        _rows(ours.folded(f"{block_name(a)}.conv{last}", f"{block_name(a)}.bn{last}"), (inner.ours, None)),
        _rows(theirs.folded(f"{block_name(b)}.conv{last}", f"{block_name(b)}.bn{last}"), (inner.theirs, inner.factors)),
        *more,
    )


def _map(
    network: ResNetOf, place: Place, reads: Tensor, writes: Tensor, read: Tensor | None, written: Tensor | None
) -> Tensor:
    """A block's convolutions composed, in the order and scales of A's stream, flat.

    Args:
        reads, writes: the channels of the streams in A's order. read, written: what they are multiples of A's by.
    """
    name, weight = block_name(place), torch.eye(len(reads), dtype=torch.float64)
    if len(reads) > _PROBES:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(len(reads), _PROBES, dtype=torch.float64, generator=generator)
    weight = weight[:, :, None]  # [channels, probes, kernels of all convolutions so far]
    for number in range(1, network.depth(place) + 1):
        own, _ = network.folded(f"{name}.conv{number}", f"{name}.bn{number}")
        if number == 1:
            own, _ = _rows((own, own), (reads, read))
        weight = torch.einsum("oik,ipl->opkl", own, weight).flatten(2)
    weight = weight[writes]
    weight = weight if written is None else weight / written[:, None, None]
    return weight.flatten()


def _cuts(network: ResNetOf, places: list[Place], kept: list[list[Tensor]]) -> dict[str, Cut]:
    """The tensors of the part, by the module's names; blocks are numbered anew."""
    names = network.source.network.names
    cuts = {name: Cut(own) for name, own in names.items() if not _BLOCK.fullmatch(name)}
    numbers: dict[int, int] = {}
    for place, inner in zip(places, kept, strict=True):
        new = (place[0], numbers.setdefault(place[0], 0))
        numbers[place[0]] += 1
        sizes = network.inner(place)
        for name, own in names.items():
            if not name.startswith(f"{block_name(place)}."):
                continue
            part = name[len(block_name(place)) + 1 :]
            module = part.partition(".")[0]
            axes: dict[int, Tensor] = {}
            for number, channels in enumerate(inner, 1):
                if len(channels) == sizes[number - 1]:
                    continue
                if module in (f"conv{number}", f"bn{number}") and network.shapes[name]:
                    axes[0] = channels
                elif part == f"conv{number + 1}.weight":
                    axes[1] = channels
            cuts[f"{block_name(new)}.{part}"] = Cut(own, axes)
    return cuts
