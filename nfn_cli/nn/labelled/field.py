"""Entries that transform alike, gathered from any tensors: a field of a network on labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nfn_cli.architectures.labels import Stored
from nfn_cli.nn.labelled.neurons import Ints


@dataclass(frozen=True)
class Coordinate:
    """One axis of a field: which unit of a block, within one unit of the block around it.

    Attributes:
        path: the block, after all blocks around it, the outermost first.
        parent: the place, among the field's coordinates, of the one around it; None for none.
    """

    path: tuple[int, ...]
    parent: int | None


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of one tensor that lies in a field.

    Attributes:
        name: of the tensor.
        places: int64 [*coordinates, features], positions in the flat tensor.
        stored: from the file's number to the one that the group multiplies.
        part: which of the tensor's pieces it is.
    """

    name: str
    places: Ints
    stored: tuple[Stored, ...] = ()
    part: int = 0

    @property
    def features(self) -> int:
        """How many entries it has for each tuple of neurons."""
        return self.places.shape[-1]


@dataclass(frozen=True, eq=False)
class LabelledField:
    """An array [batch, *sizes, features]: one entry for every tuple of neurons and every feature.

    A neuron of a block that lies in others has a coordinate for each of them.

    Attributes:
        coordinates: of an entry, in ascending order of their paths; none for numbers that nothing permutes.
        sizes: of all coordinates.
        pieces: what is gathered; their features follow each other.
        logs, signs: int64 [*sizes], the character of each entry (`Characters`); 0 where nothing multiplies it.
        kind: what fields that may share their parameters have in common.
    """

    coordinates: tuple[Coordinate, ...]
    sizes: tuple[int, ...]
    pieces: tuple[Piece, ...]
    logs: Ints
    signs: Ints
    kind: str

    @property
    def features(self) -> int:
        """Entries for each tuple of neurons."""
        return sum(piece.features for piece in self.pieces)

    @property
    def entries(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.sizes) * self.features

    @property
    def is_scaled(self) -> bool:
        """Whether scales multiply some of its entries."""
        return bool(self.logs.any())

    @property
    def is_signed(self) -> bool:
        """Whether signs multiply some of its entries."""
        return bool(self.signs.any())


CONSTANT = LabelledField((), (), (), np.zeros((), np.int64), np.zeros((), np.int64), "1")
"""What stands for a number that is the same for all networks, where a layer adds constants."""
