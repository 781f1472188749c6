"""What the group on labels is made of, as a tree that a person can read: repeated layers are one row."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Gauge, LabelledArchitecture, LabelledTensor, Solutions, log10_order
from nfn_cli.architectures.labels.elimination import joined
from nfn_cli.architectures.labels.hashing import once
from nfn_cli.symmetry.labelled.folding import fold, folded_names

_NO_BLOCK = -1
_WRITERS = 2  # matrices that write into a stream, and as many that read it, in as many layers


@dataclass(frozen=True)
class BlockFacts:
    """A block of permutations, or several alike.

    Attributes:
        name: of the module that makes the neurons, such as `layers.0–31.mlp.up_proj`.
        group: such as Sym(8192).
        n: how many units are permuted among themselves.
        times: how many such groups there are in all; of a block in another one, one for each unit of that.
        units: n · times.
        kind: stream (what many layers write to and read), heads (units that hold further ones) or neurons.
        tensors: names of all tensors that move with it, folded alike.
        tensor_count: how many they are.
        scales: free positive scales that stand at its units, in all: a dimension.
        signs: free signs that do, in all.
        inside: blocks in each of its units.
    """

    name: str
    group: str
    n: int
    times: int
    units: int
    kind: str
    tensors: tuple[str, ...]
    tensor_count: int
    scales: int
    signs: int
    inside: tuple[BlockFacts, ...] = ()


@dataclass(frozen=True)
class GaugeFacts:
    """A freedom that is no monomial matrix, or several alike.

    Attributes:
        where: folded.
        times: how many there are.
        dimension: of all together.
    """

    kind: str
    where: str
    times: int
    dimension: int


@dataclass(frozen=True)
class LabelledInspection:
    """The group of a network on labels.

    Attributes:
        streams: blocks that many modules share, in the order in which they are first written.
        blocks: the others, in forward order.
        log10_permutations: log₁₀ of how many permutations there are.
        scales: the dimension of the positive scales, which is that of the orbit.
        signs: how many free signs there are: 2 to that power combinations.
        elsewhere_scales, elsewhere_signs: those of them that stand at no block's units.
        moved: tensors on which the group acts. left: those that stay as they are.
        parameters: numbers in all tensors, tied ones once; None where the shapes of those that stay are not known.
        gauges: what else leaves the function alone; nothing here acts on it.
    """

    streams: tuple[BlockFacts, ...]
    blocks: tuple[BlockFacts, ...]
    log10_permutations: float
    scales: int
    signs: int
    elsewhere_scales: int
    elsewhere_signs: int
    moved: int
    left: int
    parameters: int | None
    gauges: tuple[GaugeFacts, ...] = ()

    @property
    def orbit_dimension(self) -> int:
        """The dimension of the orbit of a point in general position."""
        return self.scales

    @property
    def rows(self) -> tuple[BlockFacts, ...]:
        """Streams first, then the other blocks."""
        return self.streams + self.blocks


def inspect_labelled(
    architecture: LabelledArchitecture, shapes: Mapping[str, Sequence[int]] | None = None
) -> LabelledInspection:
    """The facts of a group on labels.

    Args:
        shapes: of the network's tensors by name, to count what the group leaves alone.
    """
    seen = _Seen(architecture)
    children: dict[int | None, list[int]] = {}
    for place, block in enumerate(architecture.blocks):
        children.setdefault(block.parent, []).append(place)
    order = _first_labels(architecture, children)
    roots = [_facts(architecture, seen, children, order, place) for place in _sorted(children.get(None, []), order)]
    streams = [facts for facts in roots if facts.kind == "stream"]
    moved = sum(seen.moves)
    return LabelledInspection(
        tuple(_folded(streams)),
        tuple(_folded([facts for facts in roots if facts.kind != "stream"])),
        log10_order(architecture.blocks),
        architecture.logs.free,
        architecture.signs.free,
        int((seen.log_block == _NO_BLOCK).sum()),
        int((seen.sign_block == _NO_BLOCK).sum()),
        moved,
        len(architecture.tensors) - moved + len(architecture.left),
        _parameters(architecture, shapes),
        _gauges(architecture.gauges),
    )


def _first_labels(architecture: LabelledArchitecture, children: Mapping[int | None, list[int]]) -> list[int]:
    """The smallest label of each block, and of those in it: labels are numbered as the forward pass meets them."""
    first = [
        int(block.labels.min()) if block.labels.size else architecture.label_count for block in architecture.blocks
    ]
    for place in reversed(range(len(first))):
        first[place] = min([first[place], *(first[child] for child in children.get(place, []))])
    return first


def _sorted(places: Sequence[int], order: Sequence[int]) -> list[int]:
    return sorted(places, key=lambda place: (order[place], place))


def _facts(
    architecture: LabelledArchitecture,
    seen: _Seen,
    children: Mapping[int | None, list[int]],
    order: Sequence[int],
    place: int,
) -> BlockFacts:
    block = architecture.blocks[place]
    own = _sorted(children.get(place, []), order)
    inside = [_facts(architecture, seen, children, order, child) for child in own]
    tensors = sorted(seen.tensors_of(place, children))
    kind = "heads" if inside else "stream" if seen.is_stream(place, tensors) else "neurons"
    return BlockFacts(
        block.name,
        f"Sym({block.n})",
        block.n,
        block.units // block.n if block.n else 0,
        block.units,
        kind,
        tuple(architecture.tensors[tensor].name for tensor in tensors),
        len(tensors),
        int((seen.log_block == place).sum()),
        int((seen.sign_block == place).sum()),
        tuple(inside),
    )


def _folded(rows: Sequence[BlockFacts]) -> list[BlockFacts]:
    """Blocks of equal structure whose names differ by a number as one; names of tensors folded everywhere."""
    return [_with_folded_names(facts) for facts in fold(rows, lambda facts: facts.name, _structure, _merged)]


def _structure(facts: BlockFacts) -> Hashable:
    return (
        facts.n,
        facts.units // facts.times if facts.times else 0,
        facts.kind,
        tuple(_structure(own) for own in facts.inside),
    )


def _merged(rows: Sequence[BlockFacts], name: str) -> BlockFacts:
    inside = []
    for alike in zip(*(facts.inside for facts in rows), strict=True):
        names = folded_names([own.name for own in alike])
        inside.append(_merged(alike, names[0] if len(names) == 1 else ", ".join(names)))
    tensors = tuple(dict.fromkeys(tensor for facts in rows for tensor in facts.tensors))
    return replace(
        rows[0],
        name=name,
        times=sum(facts.times for facts in rows),
        units=sum(facts.units for facts in rows),
        tensors=tensors,
        tensor_count=len(tensors),
        scales=sum(facts.scales for facts in rows),
        signs=sum(facts.signs for facts in rows),
        inside=tuple(inside),
    )


def _with_folded_names(facts: BlockFacts) -> BlockFacts:
    inside = tuple(_with_folded_names(own) for own in facts.inside)
    return replace(facts, tensors=folded_names(facts.tensors), inside=inside)


def _gauges(gauges: Sequence[Gauge]) -> tuple[GaugeFacts, ...]:
    rows = [GaugeFacts(gauge.kind, gauge.where, 1, gauge.dimension) for gauge in gauges]

    def merged(rows: Sequence[GaugeFacts], name: str) -> GaugeFacts:
        return GaugeFacts(rows[0].kind, name, sum(row.times for row in rows), sum(row.dimension for row in rows))

    return tuple(
        fold(rows, lambda row: row.where, lambda row: (row.kind, row.dimension // row.times, row.times), merged)
    )


def _parameters(architecture: LabelledArchitecture, shapes: Mapping[str, Sequence[int]] | None) -> int | None:
    if architecture.left and (shapes is None or any(name not in shapes for name in architecture.left)):
        return None
    count = sum(math.prod(tensor.shape) for tensor in architecture.tensors)
    return count + sum(math.prod((shapes or {})[name]) for name in architecture.left)


class _Seen:
    """Which blocks the tensors show, and which block's units each free scale stands at.

    Attributes:
        moves: for each tensor, whether the group acts on it.
        log_block, sign_block: for each free log and sign, a block; _NO_BLOCK for none.
    """

    def __init__(self, architecture: LabelledArchitecture) -> None:
        self._architecture = architecture
        self._block_of = np.full(architecture.label_count, _NO_BLOCK, np.int32)
        for place, block in enumerate(architecture.blocks):
            self._block_of[block.labels] = place
        rows = architecture.determined
        self._rows = rows
        self._tensors: dict[int, set[int]] = {}
        self._writers = np.zeros(len(architecture.blocks), np.int64)
        self._readers = np.zeros(len(architecture.blocks), np.int64)
        self.moves: list[bool] = []
        acted = np.zeros(max(architecture.scale_count, 1), bool)
        acted[architecture.logs.rows] = acted[architecture.signs.rows] = True
        keys = [np.zeros(0, np.int64)]
        for place, tensor in enumerate(architecture.tensors):
            seen = self._blocks(tensor)
            for own in seen:
                self._tensors.setdefault(own, set()).add(place)
            scaled = any(bool(acted[array].any()) for use in tensor.uses for _, array in use.scales)
            self.moves.append(bool(seen) or scaled)
            keys += self._keys(tensor)
        found = np.stack(np.divmod(once(np.concatenate(keys)), max(architecture.scale_count, 1)), 1)
        self.log_block = self._standing(found, architecture.logs)
        self.sign_block = self._standing(found, architecture.signs)

    def tensors_of(self, block: int, children: Mapping[int | None, list[int]]) -> set[int]:
        """The tensors that a block moves, those of blocks in it among them."""
        found = set(self._tensors.get(block, set()))
        for child in children.get(block, []):
            found |= self.tensors_of(child, children)
        return found

    def is_stream(self, block: int, tensors: Sequence[int]) -> bool:
        """Whether several matrices in several layers write to these neurons, and several read them."""
        if min(self._writers[block], self._readers[block]) < _WRITERS:
            return False
        layers = {_layer(self._architecture.tensors[tensor].name) for tensor in tensors}
        return len(layers) >= _WRITERS

    def _blocks(self, tensor: LabelledTensor) -> set[int]:
        """The blocks that move a tensor's entries; of determined labels, those of what they follow from."""
        found: set[int] = set()
        for use in tensor.uses:
            for role in use.roles:
                asked = np.zeros(len(self._block_of), bool)
                asked[role.labels[role.labels >= 0]] = True
                labels = np.flatnonzero(asked)
                while len(labels):
                    # _NO_BLOCK is the 0 here.
                    found |= set(np.flatnonzero(np.bincount(self._block_of[labels] + 1)).tolist())
                    follow = np.zeros(len(self._block_of), bool)
                    follow[self._rows[asked[self._rows[:, 0]], 1:]] = True
                    labels = np.flatnonzero(follow & ~asked)
                    asked |= follow
        return {place - 1 for place in found if place}

    def _keys(self, tensor: LabelledTensor) -> list[NDArray[np.int64]]:
        """Block · scales + scale variable, for the scales along a block's neurons; counts writers and readers."""
        found = []
        written: set[int] = set()
        read: set[int] = set()
        for use in tensor.uses:
            matrix = len(use.shape) > 1
            for role in use.roles:
                blocks = np.where(role.labels >= 0, self._block_of[role.labels], _NO_BLOCK)
                for coefficient, array in use.scales:
                    if not any(a > 1 and b > 1 for a, b in zip(role.labels.shape, array.shape, strict=True)):
                        continue
                    one, other = np.broadcast_arrays(blocks, array)
                    keys = once((one.astype(np.int64) * self._architecture.scale_count + other).reshape(-1))
                    keys = keys[keys >= 0]
                    found.append(keys)
                    if matrix:
                        met = np.flatnonzero(np.bincount(keys // self._architecture.scale_count))
                        (written if coefficient > 0 else read).update(met.tolist())
        self._writers[list(written)] += 1
        self._readers[list(read)] += 1
        return found

    def _standing(self, pairs: NDArray[np.int64], solutions: Solutions) -> NDArray[np.int64]:
        """The block of fewest units at which each free value stands; of as few, one that is in no other."""
        found = np.full(solutions.free, _NO_BLOCK, np.int64)
        columns = solutions.columns[np.argsort(solutions.rows, kind="stable")]
        lengths = np.bincount(solutions.rows, minlength=self._architecture.scale_count)
        starts = np.cumsum(lengths) - lengths
        blocks = self._architecture.blocks
        order_of = {place: (-block.units, block.parent is None, -place) for place, block in enumerate(blocks)}
        ends = np.cumsum(np.bincount(pairs[:, 0], minlength=len(blocks)))
        for block in sorted(set(pairs[:, 0].tolist()), key=order_of.__getitem__):
            own = pairs[ends[block - 1] if block else 0 : ends[block], 1]
            found[columns[joined(starts[own], lengths[own])[1]]] = block
        return found


def _layer(name: str) -> str:
    """The part of a name up to its first number: names that differ behind it are layers."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else parts[0]
