"""A number for every neuron that no permutation changes, and the order that these numbers give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Role, Use
from nfn_cli.architectures.labels.hashing import mixed
from nfn_cli.symmetry.labelled.positions import role_axes
from nfn_cli.symmetry.labelled.slices import Axes, Moments
from nfn_cli.symmetry.labelled.units import Orders

_SQUARES, _SIZES, _ONE, _OTHER, _COLUMN, _CHILD = range(6)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """The order of all units.

    Attributes:
        places: as `nested_orders` takes them.
        gap: the smallest relative difference of two neighbours' keys; infinite where nothing is ordered.
        ties: names of blocks, and how many of their units have a neighbour whose key is equal but for rounding.
    """

    places: tuple[Orders | None, ...]
    gap: float
    ties: tuple[tuple[str, int], ...]


class Keys:
    """Keys of neurons, added up use by use: sums of squares and of cubes over all slices that a neuron has.

    Each sum stands beside the mean of its class, and counts with a weight of its own.
    """

    def __init__(self, architecture: LabelledArchitecture) -> None:
        self._architecture = architecture
        self._labels = np.zeros(architecture.label_count)

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
        owned = labels >= 0
        slots = 0 if role.slots is None else role.slots.reshape(-1)[owned]
        values = sums.reshape(-1)[owned]
        mean = float(values.mean()) if len(values) else 0.0
        if not mean or not np.isfinite(mean):
            return
        weights = np.broadcast_to(_weights(*name, slots), values.shape)
        self._labels += np.bincount(labels[owned], weights * values / mean, minlength=len(self._labels))

    def order(self, rounding: float) -> Order:
        """All units, ascending by key; those whose keys are equal but for `rounding` as they stand."""
        blocks = self._architecture.blocks
        labels = self._handed_on()
        keys = [
            labels[block.labels]
            @ np.broadcast_to(_weights(_COLUMN, place, np.arange(block.labels.shape[1])), (block.labels.shape[1],))
            for place, block in enumerate(blocks)
        ]
        for place in reversed(range(len(blocks))):
            block = blocks[place]
            if block.parent is not None:
                keys[block.parent] = keys[block.parent] + float(_weights(_CHILD, place)[0]) * keys[place].reshape(
                    -1, block.n
                ).mean(1)
        places: list[Orders | None] = []
        least, ties = np.inf, []
        for block, own in zip(blocks, keys, strict=True):
            table = own.reshape(-1, block.n)
            order = np.argsort(table, axis=1, kind="stable")
            ordered = np.take_along_axis(table, order, 1)
            sizes = np.maximum(np.abs(ordered[:, 1:]), np.abs(ordered[:, :-1]))
            gaps = (ordered[:, 1:] - ordered[:, :-1]) / np.where(sizes > 0, sizes, 1.0)
            least = min(least, float(gaps.min(initial=np.inf)))
            near = gaps <= rounding
            if near.any():
                beside = np.zeros(table.shape, dtype=np.bool_)
                beside[:, 1:] |= near
                beside[:, :-1] |= near
                ties.append((block.name, int(beside.sum())))
                cluster = np.zeros(table.shape, dtype=np.int64)
                cluster[:, 1:] = np.cumsum(~near, axis=1)
                order = np.stack([row[np.lexsort((row, own))] for row, own in zip(order, cluster, strict=True)])
            ranks = np.empty_like(order)
            np.put_along_axis(ranks, order, np.arange(block.n)[None].repeat(len(order), 0), 1)
            places.append(ranks)
        return Order(tuple(places), least, tuple(ties))

    def _handed_on(self) -> Floats:
        """Keys of labels [labels], those of determined ones also at the labels that determine them."""
        keys = np.append(self._labels, 0.0)  # the last stands for NONE
        rows = self._architecture.determined.astype(np.int64)
        while len(rows):
            ready = ~np.isin(rows[:, 0], rows[:, 1:])
            if not ready.any():
                raise ValueError("labels determine one another in a circle")
            label, one, other = rows[ready].T
            np.add.at(keys, one, float(_weights(_ONE)[0]) * keys[label])
            np.add.at(keys, other, float(_weights(_OTHER)[0]) * keys[label])
            rows = rows[~ready]
        return keys[:-1]


def _weights(*name: ArrayLike) -> Floats:
    """A number between ½ and 3/2 for a name of whole numbers, entry by entry: of two names never the same."""
    found: Floats = 0.5 + np.atleast_1d(mixed(*name)).astype(np.float64) / 2.0**64
    return found
