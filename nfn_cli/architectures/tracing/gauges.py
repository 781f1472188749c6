"""The freedoms of a traced network that are no monomial matrices, from what was noted beside the trace.

Neurons of a block without further ones in it are the coordinates of a space. Where all operators that read or write
them are linear, any invertible matrix may stand between; where sums of squares are seen, rotations may. Only what
is sure is listed: what is not noted as linear leaves no freedom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Block, Gauge, GaugeAction, Use
from nfn_cli.architectures.tracing.gauge_actions import Group, matrices
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.watching import LAYER_NORM, SOFTMAX, Bond, Labels, Watch

_NONE = -1
_SHIFTS = {
    SOFTMAX: "key bias: a softmax does not see it",
    "value": "value bias moved into the output bias",
    "linear": "bias moved into the next ones",
}
_ALIKE = {
    LAYER_NORM: "multiples of the ones before a LayerNorm",
    SOFTMAX: "one vector added to all rows before a softmax",
}


def found_gauges(trace: Trace, watch: Watch, blocks: Sequence[Block]) -> tuple[Gauge, ...]:
    """All that is sure, spaces first, in forward order.

    Args:
        blocks: on the labels of the trace.
    """
    spaces = _Spaces(trace, watch, blocks)
    found = spaces.gauges()
    used_once = {name for name, count in watch.uses.items() if count == 1}
    alike: dict[tuple[str, str], int] = {}
    for name, fate in watch.shifts.fates.items():
        if name in used_once and fate.alike_taken and not fate.alike_failed:
            key = _ALIKE[min(fate.alike_taken)], name.rpartition(".")[0] or name  # a weight and its bias together
            alike[key] = alike.get(key, 0) + fate.alike_size
    found += [Gauge(kind, where, size) for (kind, where), size in alike.items()]
    for name, fate in watch.shifts.fates.items():
        if name not in used_once:
            continue
        if fate.sinks <= used_once:
            found += [Gauge(kind, name, fate.free(how)) for how, kind in _SHIFTS.items() if fate.free(how)]
    for read in watch.centred:
        if read.alone <= used_once:
            kind = "multiples of 1/gains in rows that read a LayerNorm"
            found.append(Gauge(kind, read.weight.rpartition(".")[0] or read.weight, read.outputs))
    for own in watch.recurrences:
        if set(own.names) <= used_once:
            found.append(Gauge("vector added to one bias and taken from the other", " and ".join(own.names), own.count))
    return tuple(found)


class _Spaces:
    """Coordinates of spaces and what is known of them, label by label."""

    def __init__(self, trace: Trace, watch: Watch, blocks: Sequence[Block]) -> None:
        self._trace, self._watch, self._blocks = trace, watch, blocks
        parents = {block.parent for block in blocks}
        self._leaves = [place for place, block in enumerate(blocks) if place not in parents and block.n > 1]
        count = trace.label_count
        # A node stands for a column of a block's labels, or for all labels of one sort that are in no such block.
        sorts = trace.sort_of(np.arange(count)) if count else np.zeros(0, np.int64)
        self._node = sorts.astype(np.int64)
        self._unit, self._space = np.full(count, _NONE), np.full(count, _NONE)
        self._nodes: dict[int, list[int]] = {}
        self._size: list[int] = []
        of_units = [np.zeros(0, np.int64)]
        nodes, units = len(trace.origins), 0
        for place in self._leaves:
            block = blocks[place]
            columns = block.labels.shape[1]
            self._node[block.labels] = nodes + np.arange(columns)
            spaces = len(self._size) + np.arange(block.units) // block.n
            self._unit[block.labels] = units + np.arange(block.units)[:, None]
            self._space[block.labels] = spaces[:, None]
            of_units.append(spaces)
            self._size += [block.n] * (block.units // block.n)
            self._nodes[place] = list(range(nodes, nodes + columns))
            nodes += columns
            units += block.units
        self._space_of = np.concatenate(of_units)
        self._rigid: set[int] = set()
        self._readers: dict[str, set[str]] = {}  # by gain, what takes it in
        self._classes = _Classes(nodes)

    def gauges(self) -> list[Gauge]:
        """One for each block whose spaces have a freedom of their own."""
        watch = self._watch
        bonds = [*watch.bonds, *self._ties()]
        self._gains()
        for labels in watch.rigid:
            self._hold(labels)
        self._follow(bonds)
        for whole in watch.whole:
            self._require_whole(whole.labels, whole.axes)
        rigid = {self._classes.root(node) for node in self._rigid}
        rounds, levelled = self._roots(watch.rounds), self._roots(watch.levelled)
        values, keys = self._roots(watch.values), self._roots(watch.keys)
        exempt = self._nodes_of(watch.exempt)
        found = []
        for place in sorted(self._leaves, key=lambda own: int(self._blocks[own].labels.min(initial=(1 << 31) - 1))):
            block = self._blocks[place]
            roots = {self._classes.root(node) for node in self._nodes[place] if node not in exempt}
            if len(roots) != 1 or roots & rigid:
                continue
            (root,) = roots
            kind, size = _freedom(
                block.n,
                rounds=root in rounds or self._classes.clashes(root),
                levelled=root in levelled,
                what="values and outputs" if root in values else "queries and keys" if root in keys else "",
                norm=root in rounds,
            )
            if size:
                group: Group = "linear"
                if root in levelled:
                    group = "levelled"
                elif root in rounds or self._classes.clashes(root):
                    group = "orthogonal"
                found.append(Gauge(kind, block.name, size * (block.units // block.n), self._action(place, group)))
        return found

    def _action(self, place: int, group: Group) -> GaugeAction | None:
        spaces = np.unique(self._space[self._blocks[place].labels])

        def inside(labels: Labels) -> NDArray[np.bool_]:
            return np.isin(self._space[labels], spaces)

        def odd(labels: Labels) -> NDArray[np.bool_]:
            return np.array([self._classes.find(int(node))[1] for node in self._node[labels]], bool)

        return matrices(self._trace, self._watch, group, place, inside, odd, self._readers)

    def _nodes_of(self, arrays: Iterable[Labels]) -> set[int]:
        found: set[int] = set()
        for labels in arrays:
            known = labels[labels >= 0]
            found |= set(np.unique(self._node[known]).tolist())
        return found

    def _roots(self, arrays: Iterable[Labels]) -> set[int]:
        return {self._classes.root(node) for node in self._nodes_of(arrays)}

    def _hold(self, *arrays: Labels) -> None:
        self._rigid |= self._nodes_of(arrays)

    def _gains(self) -> None:
        """Gains that weights cannot take in hold what they scale."""
        watch = self._watch
        readers = self._readers
        pairs: dict[tuple[str, str], int] = {}
        for gain, weight in watch.absorbed:
            readers.setdefault(gain, set()).add(weight)
            pairs[gain, weight] = pairs.get((gain, weight), 0) + 1
        for gain, labels in watch.gains.items():
            alone = watch.uses.get(gain) == len(labels) and gain not in watch.gain_fails
            if not alone or any(watch.uses.get(own) != pairs[gain, own] for own in readers.get(gain, ())):
                self._hold(*labels)

    def _ties(self) -> list[Bond]:
        """A tensor that is read in several ways has one set of numbers for all of them."""
        bonds = []
        for name, uses in self._trace.uses.items():
            known = {id(use): signs for use, signs in self._watch.signs.get(name, [])}
            for place, use in enumerate(uses):
                for other in uses[:place]:
                    if not _overlap(use, other):
                        continue
                    same = (use.shape, use.stride, use.offset) == (other.shape, other.stride, other.offset)
                    ours, theirs = known.get(id(use)), known.get(id(other))
                    if ours is None or theirs is None or not same:
                        self._hold(*(role.labels for own in (use, other) for role in own.roles))
                        continue
                    partners = {labels.shape: (labels, sign) for labels, sign in theirs}
                    for mine, sign in ours:
                        its = partners.pop(mine.shape, None)
                        if its is None:  # neurons of one way alone
                            self._hold(mine)
                        else:
                            bonds.append(Bond(mine, its[0], odd=sign != its[1]))
                    self._hold(*(labels for labels, _ in partners.values()))
        return bonds

    def _follow(self, bonds: Sequence[Bond]) -> None:
        """Labels in no space that are bound to some in one follow them; what is bound otherwise is held."""
        flat = []
        for bond in bonds:
            if np.size(bond.ours) == np.size(bond.theirs) and bond.ours.ndim != bond.theirs.ndim:
                ours, theirs = bond.ours.reshape(-1), bond.theirs.reshape(-1)
            else:
                ours, theirs = (array.reshape(-1) for array in np.broadcast_arrays(bond.ours, bond.theirs))
            known = (ours >= 0) & (theirs >= 0)
            if not known.all():
                self._hold(ours, theirs)
            flat.append((ours[known], theirs[known], bond.odd))
        changed = True
        while changed:
            changed = False
            for ours, theirs, _ in flat:
                for one, other in ((ours, theirs), (theirs, ours)):
                    new = (self._unit[one] == _NONE) & (self._unit[other] != _NONE)
                    if new.any():
                        self._unit[one[new]], self._space[one[new]] = self._unit[other[new]], self._space[other[new]]
                        changed = True
        for ours, theirs, odd in flat:
            apart = self._unit[ours] != self._unit[theirs]
            if apart.any():
                self._hold(ours[apart], theirs[apart])
            pairs = np.unique(np.stack([self._node[ours], self._node[theirs]], 1), axis=0)
            for one, other in pairs.tolist():
                self._classes.bind(one, other, odd=odd)

    def _require_whole(self, labels: Labels, axes: tuple[int, ...]) -> None:
        """Hold what is met in part."""
        along = [size if axis in axes else 1 for axis, size in enumerate(labels.shape)]
        piece = np.broadcast_to(np.arange(int(np.prod(along))).reshape(along), labels.shape).reshape(-1)
        flat = labels.reshape(-1)
        known = flat >= 0
        known[known] = self._unit[flat[known]] != _NONE
        flat, piece = flat[known], piece[known]
        if not len(flat):
            return
        units = len(self._unit) + 1
        met = np.unique(piece * units + self._unit[flat])
        spaces = self._space_of[met % units]
        groups, counts = np.unique(met // units * units + spaces, return_counts=True)
        partial = (groups % units)[counts != np.asarray(self._size)[groups % units]]
        if len(partial):
            self._hold(flat[np.isin(self._space[flat], partial)])


def _freedom(n: int, *, rounds: bool, levelled: bool, what: str, norm: bool) -> tuple[str, int]:
    """What it is called, and its dimension in one space of n dimensions."""
    if levelled:
        return "rotations that fix the ones, LayerNorm's gains absorbed", (n - 1) * (n - 2) // 2
    if rounds:
        where = f" of {what}" if what else ""
        return f"rotations O({n}){where}" + (", RMSNorm's gains absorbed" if norm else ""), n * (n - 1) // 2
    if what:
        return f"GL({n}) of {what} in each head, with the scales above", n * n
    return f"GL({n}) between linear layers, with the scales above", n * n


def _overlap(use: Use, other: Use) -> bool:
    first, second = sorted((_span(use), _span(other)))
    return second[0] <= first[1]


def _span(use: Use) -> tuple[int, int]:
    return use.offset, use.offset + sum((n - 1) * step for n, step in zip(use.shape, use.stride, strict=True))


class _Classes:
    """Nodes whose matrices are one, or one and its inverse transposed."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))
        self._odd = [False] * count
        self._clashing: set[int] = set()

    def find(self, node: int) -> tuple[int, bool]:
        """The node that stands for all, and whether this one's matrix is the other."""
        odd = False
        while self._above[node] != node:
            odd ^= self._odd[node]
            node = self._above[node]
        return node, odd

    def root(self, node: int) -> int:
        """The node that stands for all."""
        return self.find(node)[0]

    def bind(self, one: int, other: int, *, odd: bool) -> None:
        """Two nodes are of one class."""
        (first, mine), (second, its) = self.find(one), self.find(other)
        if first != second:
            self._above[second], self._odd[second] = first, mine ^ its ^ odd
            if second in self._clashing:
                self._clashing.add(first)
        elif mine ^ its != odd:
            self._clashing.add(first)

    def clashes(self, root: int) -> bool:
        """Whether a matrix must be its own inverse transposed: a rotation."""
        return root in self._clashing
