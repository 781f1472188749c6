"""One network brought near to another by its gauges, before the group goes on from there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.precision import coarsest
from nfn_cli.symmetry.alignment import orbit_tolerance
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.labelled.fingerprint import fingerprint
from nfn_cli.symmetry.labelled.gauges.heads import Owners, fit_heads, outer_block
from nfn_cli.symmetry.labelled.gauges.streams import fit_stream
from nfn_cli.symmetry.labelled.gauges.turning import Overlaid, Turning
from nfn_cli.symmetry.labelled.gauges.turns import KnownGauge, known_gauges
from nfn_cli.symmetry.labelled.source import LabelledSource

_DOUBLE = 1 << 25  # up to so many weights all is computed in float64


@dataclass(frozen=True)
class Gauged:
    """A network that computes what B computes, with its gauges fixed next to A's.

    Attributes:
        source: B with other numbers, each rounded to its dtype; in memory.
        reference: A, as it is.
        fitted: names in B's file of the tensors that a matrix was fitted on, and of the norms that got A's gains: how
            near these are to A's says less than it does of the others.
        kinds: of the gauges that were fixed, each once.
    """

    source: LabelledSource
    reference: LabelledSource
    fitted: frozenset[str]
    kinds: tuple[str, ...]


def gauged(reference: LabelledSource, source: LabelledSource, watch: Watch = UNWATCHED) -> Gauged | None:
    """Move B by its gauges next to A: rotations of streams, matrices of heads.

    Streams first, each by its embeddings and heads; a stream that may not be rotated is matched by the group. Then
    heads, layer by layer. What comes out need not be nearer to A, where the two are no relatives.

    Args:
        reference, source: A and B, traced with their gauges.

    Returns:
        None where B has no gauge that nfn can act by, or the result is not finite.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    gauges = known_gauges(source.architecture)
    if not gauges or fingerprint(source.architecture) != fingerprint(reference.architecture):
        return None
    weights = sum(math.prod(tensor.shape) for tensor in source.architecture.tensors)
    dtype = torch.float64 if weights <= _DOUBLE else torch.float32
    theirs = Turning(reference.architecture, reference.checkpoint.tensors, dtype)
    ours = Turning(source.architecture, source.checkpoint.tensors, dtype)
    streams = [own for own in gauges if own.action.group in ("orthogonal", "levelled")]
    heads = [own for own in gauges if own not in streams]
    watch.on_stage("fitting rotations", len(gauges))
    fitted: set[int] = set()
    rotated: set[int] = set()
    for known in streams:
        watch.on_step()
        found = fit_stream(known, theirs, ours)
        if found is None or not all(bool(own.isfinite().all()) for own in (found[0].matrices, *found[0].gains)):
            continue
        ours.turn(found[0])
        fitted |= found[1] | {
            place for own in known.action.gains for place in (own.gain, own.bias) if place is not None
        }
        if known.action.block is not None:
            rotated.add(known.action.block)
    owners = Owners(source.architecture)
    _match_others(heads, rotated, owners, theirs, ours, reference, source)
    layers: dict[tuple[int | None, int], list[KnownGauge]] = {}
    for known in heads:
        outer = outer_block(known, owners)
        layers.setdefault((outer, -1 if outer is not None else known.number), []).append(known)
    for (outer, _), own in layers.items():
        turns, places = fit_heads(own, outer, owners, theirs, ours)
        for turn in turns:
            ours.turn(turn)
        fitted |= places
        for _ in own:
            watch.on_step()
    turned = ours.finished()
    if not ours.turns or not all(bool(tensor.isfinite().all()) for tensor in turned.values()):
        return None
    tensors = Overlaid(source.checkpoint.tensors, turned)
    moved = replace(source, checkpoint=replace(source.checkpoint, tensors=tensors))
    names = frozenset(name for place in fitted for name in source.architecture.tensors[place].names)
    return Gauged(moved, reference, names, tuple(dict.fromkeys(turn.known.gauge.kind for turn in ours.turns)))


def _match_others(
    heads: list[KnownGauge],
    rotated: set[int],
    owners: Owners,
    theirs: Turning,
    ours: Turning,
    reference: LabelledSource,
    source: LabelledSource,
) -> None:
    """Match the streams that heads read and write and that were not rotated, by the group."""
    from nfn_cli.symmetry.labelled.alignment.search import Search

    architecture = source.architecture
    wanted: set[int] = set()
    for known in heads:
        for place in known.lines:
            for use in architecture.tensors[place].uses:
                labels = [role.labels[role.labels >= 0] for role in use.roles]
                blocks = {int(own) for part in labels for own in owners.block[part]}
                wanted |= {own for own in blocks if own >= 0 and architecture.blocks[own].parent is None}
    outers = {outer_block(known, owners) for known in heads}
    wanted -= rotated | {own for own in outers if own is not None}
    wanted -= {own.action.block for own in heads if own.action.block is not None}
    if not wanted and rotated:
        return
    precision = coarsest((source.precision, reference.precision))
    search = Search(architecture, _Now(ours, architecture), _Now(theirs, architecture), orbit_tolerance(precision))
    search.forward(UNWATCHED, only=wanted)
    ours.move(search.element)


class _Now(Mapping[str, Tensor]):
    """A network's tensors as they are now, by the names that an architecture has for them."""

    def __init__(self, turning: Turning, named: LabelledArchitecture) -> None:
        self._turning = turning
        self._places = {name: place for place, own in enumerate(named.tensors) for name in own.names}

    def __getitem__(self, name: str) -> Tensor:
        return self._turning.now(self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
