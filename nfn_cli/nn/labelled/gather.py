"""From the views of a tensor to pieces of fields: which entries belong to which neurons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor, Role, Use
from nfn_cli.errors import ArchitectureError
from nfn_cli.nn.labelled.characters import Characters
from nfn_cli.nn.labelled.field import Coordinate, Piece
from nfn_cli.nn.labelled.neurons import FIXED, Ints, Neurons, Path, paths_of


@dataclass(frozen=True, eq=False)
class Gathered:
    """A piece with what decides its field.

    Attributes:
        logs, signs: int64 [*sizes], the character of its entries.
    """

    piece: Piece
    coordinates: tuple[Coordinate, ...]
    logs: Ints
    signs: Ints


@dataclass(frozen=True, eq=False)
class _Part:
    """Entries along the axes of one role, or along one axis without: those on neurons of the same blocks.

    Attributes:
        offsets: int64 [*sizes, features], positions along these axes, as steps in the whole view.
    """

    coordinates: tuple[Coordinate, ...]
    offsets: Ints


class Gatherer:
    """Splits the tensors of an architecture into pieces.

    Raises:
        ArchitectureError: entries along an axis are not one for each tuple of neurons.
    """

    def __init__(self, architecture: LabelledArchitecture) -> None:
        self._blocks = architecture.blocks
        self._paths = paths_of(architecture)
        self._neurons = Neurons(architecture)
        self._characters = Characters.of(architecture)

    def pieces(self, tensor: LabelledTensor) -> Iterator[Gathered]:
        """All pieces of a tensor; entries of no view are in one that nothing moves."""
        found = [gathered for use in tensor.uses for gathered in self._of_use(tensor, use)]
        rest = np.ones(math.prod(tensor.shape), bool)
        for gathered in found:
            rest[gathered.piece.places] = False
        if rest.any():
            found.append(fixed(tensor.name, np.flatnonzero(rest)))
        for part, gathered in enumerate(found):
            yield replace(gathered, piece=replace(gathered.piece, part=part))

    def _of_use(self, tensor: LabelledTensor, use: Use) -> Iterator[Gathered]:
        steps = [math.prod(use.shape[axis + 1 :]) for axis in range(len(use.shape))]
        spoken = {axis for role in use.roles for axis, size in enumerate(role.labels.shape) if size > 1}
        along = [self._parts(tensor.name, role, steps) for role in use.roles]
        for axis, size in enumerate(use.shape):
            if axis not in spoken and size > 1:
                along.append([_Part((), np.arange(size, dtype=np.int64) * steps[axis])])
        logs, signs = (values.reshape(-1) for values in self._characters.at(use))
        for parts in product(*along):
            yield from _by_character(tensor, use, _in_order(_crossed(parts)), logs, signs)

    def _parts(self, name: str, role: Role, steps: Sequence[int]) -> list[_Part]:
        """The entries along a role's axes, those of each tuple of blocks together."""
        places = np.unravel_index(np.arange(role.labels.size), role.labels.shape)
        offsets = sum((own * step for own, step in zip(places, steps, strict=True)), np.zeros(len(places[0]), np.int64))
        labels = role.labels.ravel().astype(np.int64)
        slots = np.zeros_like(labels) if role.slots is None else role.slots.ravel().astype(np.int64)
        block = np.where(labels >= 0, self._neurons.block[labels], FIXED)
        found: list[_Part] = []
        for number in np.unique(block[block != FIXED]).tolist():
            own = block == number
            kind = self._neurons.part[labels[own]] * (int(slots.max()) + 1) + slots[own]
            found.append(self._part(name, (number,), self._neurons.unit[labels[own]][None], kind, offsets[own]))
        known = {entry: self._neurons.place(int(labels[entry])) for entry in np.flatnonzero(block == FIXED).tolist()}
        several: dict[tuple[int, ...], list[int]] = {}
        for entry, place in known.items():
            several.setdefault(place.blocks, []).append(entry)
        for blocks, entries in several.items():
            units = np.array([known[entry].units for entry in entries], np.int64).T
            kind = slots[entries] if blocks else np.arange(len(entries))
            found.append(self._part(name, blocks, units, kind, offsets[entries]))
        return found

    def _part(self, name: str, blocks: tuple[int, ...], units: Ints, kind: Ints, offsets: Ints) -> _Part:
        """Entries on units [blocks, entries] of blocks, told apart by their kind."""
        coordinates: list[Coordinate] = []
        values: list[Ints] = []
        for block, unit in zip(blocks, units, strict=True):
            around: int | None = None
            for own, value in self._nested(block, unit):
                # What two labels say alike, such as the head that both lie in, is one coordinate.
                coordinate = Coordinate(own, around)
                known = [
                    place
                    for place, (other, there) in enumerate(zip(coordinates, values, strict=True))
                    if other == coordinate and np.array_equal(there, value)
                ]
                if not known:
                    known = [len(coordinates)]
                    coordinates.append(coordinate)
                    values.append(value)
                around = known[0]
        kinds, feature = np.unique(kind, return_inverse=True)
        sizes = [self._blocks[own.path[-1]].n for own in coordinates]
        table = np.full([*sizes, len(kinds)], FIXED, np.int64)
        table[tuple([*values, feature])] = offsets
        if table.size != len(offsets) or bool((table == FIXED).any()):
            cause = f"{name} has not one entry for each tuple of neurons along an axis"
            raise ArchitectureError("the network", cause, "no layers are derived for it")
        return _Part(tuple(coordinates), table)

    def _nested(self, block: int, units: Ints) -> list[tuple[Path, Ints]]:
        """The coordinates of units, the outermost first."""
        found: list[tuple[Path, Ints]] = []
        for number in reversed(self._paths[block]):
            found.append((self._paths[number], units % self._blocks[number].n))
            units = units // self._blocks[number].n
        return found[::-1]


def _crossed(parts: Sequence[_Part]) -> _Part:
    """Every entry of the one with every entry of the others."""
    coordinates: list[Coordinate] = []
    total = np.zeros(1, np.int64)
    for part in parts:
        before, own = len(coordinates), len(part.coordinates)
        left = total.reshape(*total.shape[:-1], *(1,) * own, total.shape[-1], 1)
        right = part.offsets.reshape(*(1,) * before, *part.offsets.shape[:-1], 1, part.offsets.shape[-1])
        total = (left + right).reshape(*total.shape[:-1], *part.offsets.shape[:-1], -1)
        coordinates += [
            Coordinate(own.path, None if own.parent is None else own.parent + before) for own in part.coordinates
        ]
    return _Part(tuple(coordinates), total)


def _in_order(part: _Part) -> _Part:
    """The same with coordinates in ascending order of their paths, so that parents come first."""
    order = sorted(range(len(part.coordinates)), key=lambda place: part.coordinates[place].path)
    coordinates = (part.coordinates[place] for place in order)
    placed = (Coordinate(own.path, None if own.parent is None else order.index(own.parent)) for own in coordinates)
    return _Part(tuple(placed), part.offsets.transpose(*order, len(order)))


def fixed(name: str, places: Ints) -> Gathered:
    """Entries that nothing moves."""
    none = np.zeros((), np.int64)
    return Gathered(Piece(name, places.astype(np.int64)), (), none, none)


def left_out(architecture: LabelledArchitecture, shapes: Mapping[str, Sequence[int]]) -> Iterator[Gathered]:
    """The tensors that an architecture does not list, of these shapes."""
    listed = {name for tensor in architecture.tensors for name in tensor.names}
    for name, shape in shapes.items():
        if name not in listed:
            yield fixed(name, np.arange(math.prod(shape)))


def _by_character(tensor: LabelledTensor, use: Use, part: _Part, logs: Ints, signs: Ints) -> Iterator[Gathered]:
    """Pieces of features with one character, in the order of the features."""
    offsets = part.offsets
    along = zip(np.unravel_index(offsets.ravel(), use.shape), use.stride, strict=True)
    places = use.offset + sum((own * stride for own, stride in along), np.zeros(offsets.size, np.int64))
    places = places.reshape(offsets.shape)
    columns = np.stack([logs[offsets], signs[offsets]]).reshape(-1, offsets.shape[-1])
    _, first, group = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    for number in np.argsort(first).tolist():
        chosen = np.flatnonzero(group.ravel() == number)
        at = offsets[..., chosen[0]]
        yield Gathered(Piece(tensor.name, places[..., chosen], use.stored), part.coordinates, logs[at], signs[at])
