"""From a graph that has been taken apart to the group: blocks in blocks, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.elimination import joined
from nfn_cli.architectures.labels.graph import Determined, Graph, Peeled
from nfn_cli.architectures.labels.group import Block
from nfn_cli.architectures.labels.hashing import Hash, Ints, mixed

_FIXED = -1


def forest(graph: Graph, count: int, names: Sequence[str]) -> tuple[list[Block], NDArray[np.int32]]:
    """The blocks, parents first, and the rows (label, a, b) of the labels that follow from others.

    Args:
        graph: with nothing left to take apart.
        count: how many of its nodes, the first, are labels.
        names: of each label's origin [count].
    """
    unit, part = _units(graph)
    columns = _Columns(unit[:count], part[:count], len(unit))
    block = np.full(len(unit), _FIXED)
    place = np.zeros(len(unit), np.int64)
    blocks: list[Block] = []
    for step in reversed(graph.steps):
        if not isinstance(step, Peeled):
            continue
        above = unit[step.groups]
        inside = block[above]
        # Groups in one unit of a block around them, by the same step and in the same part of the unit, are alike. Units
        # that nothing moves hold a block each.
        alike = mixed(step.tags, part[step.groups], inside, np.where(inside == _FIXED, above, 0))
        order = np.lexsort((step.nodes, place[above], alike))
        starts = np.flatnonzero(np.r_[True, alike[order][1:] != alike[order][:-1]])
        for begin, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            chosen = order[begin:end]
            nodes = step.nodes[chosen]
            block[nodes], place[nodes] = len(blocks), np.arange(len(nodes))
            parent = int(inside[chosen[0]])
            blocks.append(
                Block(
                    name="",
                    parent=None if parent == _FIXED else parent,
                    n=int(step.sizes[chosen[0]]),
                    labels=columns.of(nodes).astype(np.int32),
                )
            )
    return _named(blocks, names), _rows(graph, unit, part, columns).astype(np.int32)


def _units(graph: Graph) -> tuple[Ints, Hash]:
    """Each node's unit (the node that it was merged into in the end), and which part of it the node is."""
    unit = graph.into.copy()
    part = np.where(unit == np.arange(len(unit)), np.uint64(0), mixed(graph.tag))
    while True:
        further = unit[unit]
        if np.array_equal(further, unit):
            return unit, part
        # A unit's own part is 0, so that nothing is added once the end is reached.
        part = part + part[unit]
        unit = further


class _Columns:
    """The labels of each unit, in the same order of parts for like units."""

    def __init__(self, unit: Ints, part: Hash, nodes: int) -> None:
        self.order = np.lexsort((part, unit))
        self.count = np.bincount(unit, minlength=nodes)
        self.start = np.cumsum(self.count) - self.count

    def of(self, units: Ints) -> Ints:
        """The labels of each unit, [units, k]; all must have equally many."""
        k = int(self.count[units[0]]) if len(units) else 0
        if not (self.count[units] == k).all():
            raise ValueError("like units hold different numbers of labels")
        return self.order[self.start[units][:, None] + np.arange(k)]

    def first(self, units: Ints) -> Ints:
        """One label of each unit."""
        return self.order[self.start[units]]


def _named(blocks: list[Block], names: Sequence[str]) -> list[Block]:
    """Each block with the name of its smallest label's origin; of the smallest in it, where it has no label itself."""
    smallest = [int(block.labels.min()) if block.labels.size else len(names) for block in blocks]
    lower = list(smallest)
    for i in range(len(blocks) - 1, -1, -1):
        parent = blocks[i].parent
        if parent is not None:
            lower[parent] = min(lower[parent], smallest[i] if blocks[i].labels.size else lower[i])
    found = []
    for block, own, below in zip(blocks, smallest, lower, strict=True):
        label = own if block.labels.size else below
        found.append(Block(names[label] if label < len(names) else "", block.parent, block.n, block.labels))
    return found


def _rows(graph: Graph, unit: Ints, part: Hash, columns: _Columns) -> Ints:
    """Rows (label, a, b) of all determined labels, such that no two labels have the same pair (a, b)."""
    below = _Below(graph, unit, part, columns)
    label, a, b, kind, column = ([np.zeros(0, np.int64)] for _ in range(5))
    for step in graph.steps:
        if isinstance(step, Determined):
            which, ways_a = below.labels(unit[step.a])
            again, ways_b = below.labels(unit[step.b][which])
            from_ = which[again]
            # One row for each label that moves with a node, and each label by which its two neighbours are known.
            row, where = joined(columns.start[step.nodes[from_]], columns.count[step.nodes[from_]])
            label.append(columns.order[where])
            a.append(ways_a[again][row])
            b.append(ways_b[row])
            # Nodes of one class may have come into one unit since, so that its parts count too.
            kind.append(mixed(step.tags, part[step.a], part[step.b])[from_[row]].view(np.int64))
            column.append(where - columns.start[step.nodes[from_]][row])
    rows = np.stack([np.concatenate(label), np.concatenate(a), np.concatenate(b)], 1)
    if not len(rows):
        return rows
    # Labels of several classes, or of one node, may have one pair: the first keeps it, and the others are identified by
    # labels before them. Their order is that of their classes, so the same at every pair. Those of fewer rows are
    # distinguished more finely, and come first.
    known = np.bincount(rows[:, 0], minlength=len(columns.count))[rows[:, 0]]
    order = np.lexsort((np.concatenate(column), np.concatenate(kind), known, rows[:, 2], rows[:, 1]))
    rows, known = rows[order], known[order]
    starts = np.flatnonzero(np.r_[True, (rows[1:, 1:] != rows[:-1, 1:]).any(1)])
    lengths = np.diff(np.r_[starts, len(rows)])
    begin = np.repeat(starts, lengths)
    finest = np.add.reduceat(known == known[begin], starts, dtype=np.int64)
    rank = np.arange(len(rows)) - begin
    # All pairs of the finest in turn, by the larger of the two, so that few follow from those that follow.
    shell = np.sqrt(np.maximum(rank - 1, 0)).astype(np.int64)
    rest = rank - 1 - shell**2
    i, j = np.where(rest <= shell, shell, rest - shell - 1), np.where(rest <= shell, rest, shell)
    far = shell >= np.repeat(finest, lengths)
    i, j = np.where(far, 0, i), np.where(far, rank - 1, j)
    later = rank > 0
    keyed = rows.copy()
    keyed[later, 1] = rows[(begin + i)[later], 0]
    keyed[later, 2] = rows[(begin + j)[later], 0]
    return np.unique(keyed, axis=0)


class _Below:
    """Labels by which a unit is known: its own, or, where it has none, those of like units in it."""

    def __init__(self, graph: Graph, unit: Ints, part: Hash, columns: _Columns) -> None:
        self._columns = columns
        steps = [step for step in graph.steps if isinstance(step, Peeled)]
        none = np.zeros(0, np.int64)
        nodes = np.concatenate([none, *(step.nodes for step in steps)])
        groups = np.concatenate([none, *(step.groups for step in steps)])
        kind = mixed(np.concatenate([none, *(step.tags for step in steps)]), part[groups])
        above = unit[groups]
        order = np.lexsort((kind, above))
        above, kind, nodes = above[order], kind[order], nodes[order]
        starts = np.flatnonzero(np.r_[True, above[1:] != above[:-1]]) if len(above) else none
        # Of a unit's groups one is enough, the same for like units.
        lead = np.repeat(kind[starts], np.diff(np.r_[starts, len(above)]))
        above, self._nodes = above[kind == lead], nodes[kind == lead]
        self._count = np.bincount(above, minlength=len(unit))
        self._start = np.cumsum(self._count) - self._count

    def labels(self, units: Ints) -> tuple[Ints, Ints]:
        """Which of the units, and a label by which it is known; several where the labels are of units in it."""
        which, labels = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        index = np.arange(len(units))
        while len(units):
            own = self._columns.count[units] > 0
            which.append(index[own])
            labels.append(self._columns.first(units[own]))
            index, units = index[~own], units[~own]
            from_, where = joined(self._start[units], self._count[units])
            index, units = index[from_], self._nodes[where]
        return np.concatenate(which), np.concatenate(labels)


def visible_part(
    blocks: list[Block], rows: NDArray[np.int32], visible: NDArray[np.bool_]
) -> tuple[tuple[Block, ...], NDArray[np.int32]]:
    """The blocks that move something visible, and the rows whose labels can move and are visible.

    Labels that no tensor uses stay where they are unless they belong to such a block, even if related labels move.

    Args:
        visible: bool [labels]: what is in some tensor.
    """
    seen = visible.copy()
    while True:  # what a visible label follows from counts as visible
        more = rows[seen[rows[:, 0]]][:, 1:]
        if seen[more].all():
            break
        seen[more] = True
    shown = [bool(seen[block.labels].any()) for block in blocks]
    for i in range(len(blocks) - 1, -1, -1):
        parent = blocks[i].parent
        if shown[i] and parent is not None:
            shown[parent] = True
    number = np.cumsum(shown) - 1
    kept = tuple(
        Block(block.name, None if block.parent is None else int(number[block.parent]), block.n, block.labels)
        for block, show in zip(blocks, shown, strict=True)
        if show
    )
    rows = rows[seen[rows[:, 0]]]
    moves = np.zeros(len(visible), bool)
    for block in kept:
        moves[block.labels] = True
    while True:
        follow = rows[(moves[rows[:, 1]] | moves[rows[:, 2]]) & ~moves[rows[:, 0]]][:, 0]
        if not len(follow):
            break
        moves[follow] = True
    return kept, rows[moves[rows[:, 0]]]
