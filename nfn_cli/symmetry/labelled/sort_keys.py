"""Keys of neurons that no permutation changes, and the order of neurons that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Role, Use
from nfn_cli.architectures.labels.hashing import mixed
from nfn_cli.symmetry.labelled.positions import role_axes
from nfn_cli.symmetry.labelled.slice_sums import Axes, Moments
from nfn_cli.symmetry.labelled.unit_orders import Orders

_SQUARES, _SIZES, _ONE, _OTHER, _COLUMN, _CHILD = range(6)
_KEYS = 3  # keys of every neuron; a later one decides where the earlier ones are nearly equal
_WIDEST = 64.0  # the largest difference that is nearly equal, in units of rounding
_SURE = 4.0  # in the same units: how wide the empty range around the limit of nearly equal has to be
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """The order of all units.

    Attributes:
        places: as `nested_orders` takes them.
        gap: the smallest relative difference of keys that decided, or should have, between two neighbours; infinite
            where nothing is ordered.
        ties: names of blocks, and how many of their units have a neighbour whose keys are all equal but for rounding.
        sure: whether rounding could not have changed which of the keys decides.
    """

    places: tuple[Orders | None, ...]
    gap: float
    ties: tuple[tuple[str, int], ...]
    sure: bool = True


class Keys:
    """Keys of neurons, added up use by use: sums of squares and of cubes over all slices of a neuron.

    Each sum is relative to the mean of its class, and is multiplied by random weights, another one for each key.
    """

    def __init__(self, architecture: LabelledArchitecture) -> None:
        self._architecture = architecture
        self._labels = np.zeros((_KEYS, architecture.label_count))

    def add(self, number: int, use: Use, found: Mapping[Axes, Moments]) -> None:
        """Add the sums over the slices of one use.

        Args:
            number: of the use, among all of the network.
            found: sums along the axes of each of its roles.
        """
        for place, role in enumerate(use.roles):
            own = found[role_axes(use, role)]
            for kind, sums in ((_SQUARES, own.squares), (_SIZES, own.sizes)):
                self._add_role(role, np.broadcast_to(sums, role.labels.shape), (number, place, kind))

    def _add_role(self, role: Role, sums: Floats, name: tuple[int, int, int]) -> None:
        labels = role.labels.reshape(-1)
        some = labels >= 0
        owned = labels[some]
        slots = 0 if role.slots is None else role.slots.reshape(-1)[some]
        values = sums.reshape(-1)[some]
        mean = float(values.mean()) if len(values) else 0.0
        if not mean or not np.isfinite(mean):
            return
        for key, total in enumerate(self._labels):
            weights = np.broadcast_to(_weights(key, *name, slots), values.shape)
            np.add.at(total, owned, weights * values / mean)

    def order(self, rounding: float) -> Order:
        """All units, ascending by key; those whose keys are equal but for `rounding` keep their order."""
        blocks = self._architecture.blocks
        labels = self._handed_on()
        keys = []
        for place, block in enumerate(blocks):
            weights = np.broadcast_to(
                _weights(_COLUMN, place, np.arange(block.labels.shape[1])), (block.labels.shape[1],)
            )
            keys.append(labels[:, block.labels] @ weights)
        for place in reversed(range(len(blocks))):
            block = blocks[place]
            if block.parent is not None:
                within = keys[place].reshape(_KEYS, -1, block.n).mean(2)
                keys[block.parent] = keys[block.parent] + float(_weights(_CHILD, place)[0]) * within
        places: list[Orders | None] = []
        gap, ties, sure = np.inf, [], True
        for block, own in zip(blocks, keys, strict=True):
            found = sorted_by(own.reshape(_KEYS, -1, block.n), rounding)
            places.append(found.ranks)
            gap, sure = min(gap, found.gap), sure and found.sure
            if found.tied:
                ties.append((block.name, found.tied))
        return Order(tuple(places), gap, tuple(ties), sure)

    def _handed_on(self) -> Floats:
        """Keys of labels [labels], those of determined ones also at the labels that determine them."""
        keys = np.column_stack([self._labels, np.zeros(_KEYS)])  # the last stands for NONE
        rows = self._architecture.determined.astype(np.int64)
        while len(rows):
            ready = ~np.isin(rows[:, 0], rows[:, 1:])
            if not ready.any():
                raise ValueError("labels determine one another in a circle")
            label, one, other = rows[ready].T
            for own in keys:
                np.add.at(own, one, float(_weights(_ONE)[0]) * own[label])
                np.add.at(own, other, float(_weights(_OTHER)[0]) * own[label])
            rows = rows[~ready]
        return keys[:, :-1]


@dataclass(frozen=True)
class Sorted:
    """Tables of units in order.

    Attributes:
        ranks: int64 [tables, n], the place of each unit.
        gap, sure: as in an order.
        tied: how many units have a neighbour whose keys are all equal.
    """

    ranks: Orders
    gap: float
    sure: bool
    tied: int


def sorted_by(keys: Floats, rounding: float) -> Sorted:
    """Sort units by their first key; those whose first keys are near to each other by the second, and so on.

    The limit between near and apart lies in the widest empty range among the gaps, so that rounding takes none across
    it. Units whose keys are all equal but for rounding keep their order.

    Args:
        keys: float64 [keys, tables, n].
    """
    tables, n = keys.shape[1:]
    unit = np.arange(tables * n)
    table = unit // n
    cluster = table.copy()  # in order: numbers rise where units are apart
    order, gap, sure = unit, np.inf, True
    last = len(keys) - 1
    near = np.zeros(max(tables * n - 1, 0), dtype=np.bool_)
    for level, own in enumerate(keys.reshape(len(keys), -1)):
        group = np.empty_like(cluster)
        group[order] = cluster
        order = np.lexsort((unit, own, group))
        ordered, cluster = own[order], group[order]
        together = cluster[1:] == cluster[:-1]
        sizes = np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1]))
        gaps = (ordered[1:] - ordered[:-1]) / np.where(sizes > 0, sizes, 1.0)
        line, free = _line(gaps[together], rounding) if level < last else (rounding, True)
        near = together & (gaps <= line)
        sure &= free
        gap = min(gap, float(gaps[together & ~near].min(initial=np.inf)))
        if level == last:
            gap = min(gap, float(gaps[near].min(initial=np.inf)))
        cluster = np.cumsum(np.r_[0, ~near])[: len(cluster)]
        if not near.any():
            break
    group = np.empty_like(cluster)
    group[order] = cluster
    order = np.lexsort((unit, group))
    ranks = np.empty_like(order)
    ranks[order] = unit
    beside = np.r_[near, False] | np.r_[False, near]
    return Sorted(ranks.reshape(tables, n) % n, gap, sure, int(beside[: len(unit)].sum()))


def _line(gaps: Floats, rounding: float) -> tuple[float, bool]:
    """The limit between near and apart, and whether the empty range around it is wide enough."""
    low, high = rounding, min(_WIDEST * rounding, 0.5)
    if high <= low:
        return low, False
    inside = np.sort(gaps[(gaps > low) & (gaps < high)])
    edges = np.r_[low, inside, high]
    widths = np.diff(edges)
    place = int(np.argmax(widths))
    below = bool((gaps <= low).any()) or place > 0
    return float(edges[place] + widths[place] / 2), not below or bool(widths[place] > _SURE * rounding)


def _weights(*name: ArrayLike) -> Floats:
    """A number between ½ and 3/2 for a name of whole numbers, entry by entry: of two names never the same."""
    found: Floats = 0.5 + np.atleast_1d(mixed(*name)).astype(np.float64) / 2.0**64
    return found
