"""The positions of a block's units in the tensors, and which of them are matched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.labels.hashing import Hash, mixed
from nfn_cli.symmetry.labelled.alignment.views import NONE, Flags, Ints, View


@dataclass(frozen=True, eq=False)
class Table:
    """Positions of a block's units along one dimension of a view.

    Attributes:
        view, dimension: their places.
        positions: int64 [units, parts]: part k of one unit stands for part k of another.
    """

    view: int
    dimension: int
    positions: Ints


class Units:
    """The blocks' units in the tensors of a network."""

    def __init__(self, architecture: LabelledArchitecture, views: Sequence[View]) -> None:
        self.architecture, self.views = architecture, views
        count = architecture.label_count
        self.block = np.full(count, NONE, dtype=np.int64)
        self.unit = np.zeros(count, dtype=np.int64)
        self.column = np.zeros(count, dtype=np.int64)
        for place, block in enumerate(architecture.blocks):
            self.block[block.labels] = place
            self.unit[block.labels] = np.arange(block.units)[:, None]
            self.column[block.labels] = np.arange(block.labels.shape[1])
        self.rows = architecture.determined.astype(np.int64)
        self.children: list[list[int]] = [[] for _ in architecture.blocks]
        for place, block in enumerate(architecture.blocks):
            if block.parent is not None:
                self.children[block.parent].append(place)
        self._in = [[self._blocks_in(own.labels) for own in view.dimensions] for view in views]
        self._tables: dict[int, list[Table]] = {}

    def lineage(self, block: int | None) -> list[int]:
        """A block and those around it, the innermost first."""
        found = []
        while block is not None and block >= 0:
            found.append(block)
            block = self.architecture.blocks[block].parent
        return found

    def within(self, block: int) -> list[int]:
        """A block and all that are in it, parents first."""
        return [block, *(inner for child in self.children[block] for inner in self.within(child))]

    def settled(self, clear: Flags, also: Iterable[int] = ()) -> Flags:
        """Which labels are where they belong, bool [labels], the last stands for NONE.

        Args:
            clear: bool [labels], of the blocks' own labels.
            also: blocks that count as clear.
        """
        found = np.ones(len(self.block) + 1, dtype=np.bool_)
        found[:-1] = clear | (self.block == NONE)
        for block in also:
            found[self.architecture.blocks[block].labels] = True
        waiting = self.rows
        while len(waiting):  # as long as one follows from another
            new = found.copy()
            np.logical_and.at(new, waiting[:, 0], found[waiting[:, 1]] & found[waiting[:, 2]])
            if np.array_equal(new, found):
                break
            found = new
        return found

    def tables(self, block: int) -> list[Table]:
        """Where a block's units stand, without what stands only in blocks inside it."""
        known = self._tables.get(block)
        if known is None:
            unit, key = self._relative(block)
            known = [
                Table(number, place, positions)
                for number, view in enumerate(self.views)
                for place, own in enumerate(view.dimensions)
                if block in self._in[number][place] and own.labels is not None
                for positions in [self._positions(block, unit, key, own.labels, own.slots)]
                if positions.size
            ]
            self._tables[block] = known
        return known

    def blocks_in(self, view: int) -> set[int]:
        """The blocks that occur in a view."""
        return set().union(*self._in[view])

    def touched(self, blocks: Iterable[int]) -> set[int]:
        """The views in which some blocks occur."""
        wanted = set(blocks)
        return {number for number, own in enumerate(self._in) if any(wanted & some for some in own)}

    def _positions(self, block: int, unit: Ints, key: Hash, labels: Ints, slots: Ints) -> Ints:
        owned = np.flatnonzero(labels >= 0)
        owned = owned[unit[labels[owned]] >= 0]
        units = self.architecture.blocks[block].units
        parts, which = np.unique(mixed(key[labels[owned]], slots[owned]), return_inverse=True)
        found = np.full((units, len(parts)), -1, dtype=np.int64)
        found[unit[labels[owned]], which] = owned
        # What some units have and others have not stands in blocks inside, or is of one unit's place.
        return found[:, (found >= 0).all(0)]

    def _relative(self, block: int) -> tuple[Ints, Hash]:
        """For each label the unit of a block that it is in, −1 for none, and what it is of that unit.

        Where a label is in a unit around the block, its place in it counts, so that units of different parents compare.
        """
        blocks, line = self.architecture.blocks, self.lineage(block)
        count = len(self.block)
        unit = np.full(count, -1, dtype=np.int64)
        key = mixed(1, np.arange(count))
        for place, own in enumerate(blocks):
            above = self.lineage(place)
            common = next((other for other in above if other in line), None)
            span = (
                int(np.prod([blocks[other].n for other in above[: above.index(common)]])) if common is not None else 1
            )
            units = np.arange(own.units)
            around = units // span if common is not None else np.zeros_like(units)
            inside = units - around * span if common is not None else units
            key[own.labels] = mixed(2, place, inside[:, None], np.arange(own.labels.shape[1])[None])
            if common == block:
                unit[own.labels] = around[:, None]
        # The last stands for NONE.
        unit, key = np.append(unit, -1), np.append(key, np.uint64(0))
        waits = np.zeros(count + 1, dtype=np.bool_)
        waits[self.rows[:, 0]] = True
        rows = self.rows
        while len(rows):
            ready = ~(waits[rows[:, 1]] | waits[rows[:, 2]])
            whole = np.ones(count + 1, dtype=np.bool_)
            np.logical_and.at(whole, rows[:, 0], ready)
            ready &= whole[rows[:, 0]]
            if not ready.any():
                break
            own, one, other = rows[ready].T
            total = np.zeros(count + 1, dtype=np.uint64)
            np.add.at(total, own, mixed(3, key[one], key[other]))
            key[own] = total[own]
            np.maximum.at(unit, own, np.maximum(unit[one], unit[other]))
            waits[own] = False
            rows = rows[~ready]
        return unit, key

    def _blocks_in(self, labels: Ints | None) -> set[int]:
        """The blocks on which some labels depend."""
        if labels is None:
            return set()
        met = np.zeros(len(self.block) + 1, dtype=np.bool_)  # the last stands for NONE
        met[labels[labels >= 0]] = True
        while len(self.rows):
            new = met.copy()
            used = met[self.rows[:, 0]]
            new[self.rows[used, 1]] = new[self.rows[used, 2]] = True
            if np.array_equal(new, met):
                break
            met = new
        found: set[int] = set()
        for own in np.unique(self.block[met[:-1]]).tolist():
            found.update(self.lineage(own))
        return found
