"""Which unit of which block every label belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture

Ints = NDArray[np.int64]
Path = tuple[int, ...]
"""A block, after all blocks around it, the outermost first."""

FIXED = -1


@dataclass(frozen=True)
class Place:
    """What a label is known by.

    Attributes:
        blocks: whose units it belongs to: none where it is fixed, one, or two and more where it follows from others.
        units: one for each of these blocks.
        part: a number that tells apart the labels of one unit, or of one tuple of units.
    """

    blocks: tuple[int, ...]
    units: tuple[int, ...]
    part: int


def paths_of(architecture: LabelledArchitecture) -> tuple[Path, ...]:
    """The path of each block."""
    found: list[Path] = []
    for number, block in enumerate(architecture.blocks):
        found.append((*(() if block.parent is None else found[block.parent]), number))
    return tuple(found)


class Neurons:
    """Finds the places of labels.

    Attributes:
        block, unit, part: int64 [labels]; `block` is FIXED for labels that no block moves directly.
    """

    def __init__(self, architecture: LabelledArchitecture) -> None:
        count = architecture.label_count
        self.block = np.full(count, FIXED, np.int64)
        self.unit, self.part = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for number, block in enumerate(architecture.blocks):
            units, columns = block.labels.shape
            labels = block.labels.astype(np.int64)
            self.block[labels] = number
            self.unit[labels] = np.arange(units)[:, None]
            self.part[labels] = np.arange(columns)
        self._rows: dict[int, tuple[int, int]] = {}
        for label, first, second in architecture.determined.tolist():
            self._rows.setdefault(label, (first, second))

    def place(self, label: int) -> Place:
        """Of one label."""
        if label < 0:
            return Place((), (), FIXED)
        if self.block[label] != FIXED:
            return Place((int(self.block[label]),), (int(self.unit[label]),), int(self.part[label]))
        if label not in self._rows:
            return Place((), (), FIXED)
        first, second = (self.place(other) for other in self._rows[label])
        return Place((*first.blocks, *second.blocks), (*first.units, *second.units), 0)

    def places(self, labels: Sequence[int]) -> list[Place]:
        """Of several labels."""
        return [self.place(label) for label in labels]
