"""The neurons of each block as rows of numbers, in both networks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfn_cli.symmetry.kinship.pairing import Pair
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices, thinned
from nfn_cli.symmetry.labelled.alignment.unit_positions import Table, Units
from nfn_cli.symmetry.labelled.alignment.views import Ints, View, entries, views_of

_DOUBLE = 1 << 25  # up to so many weights all is computed in float64
_UNITS = 2_048  # units of a block that are looked at; more would not tell more
_NUMBERS = 1_024  # numbers of a unit that are read from one tensor
_IN_ALL = 8_192  # and from all tensors together, but for the fewest
_FEWEST = 64  # numbers that are read from each tensor in any case


@dataclass(frozen=True)
class Rows:
    """One tensor's numbers of a block's units.

    Attributes:
        tensor: its name.
        reference, moved: A's and g·B's [units, numbers]; row i of both stands in the same place.
        signed: whether a unit's sign is free here.
    """

    tensor: str
    reference: Tensor
    moved: Tensor
    signed: bool


@dataclass(frozen=True)
class BlockRows:
    """All that is read of a block.

    Attributes:
        name: of the block.
        n: units that may be permuted among themselves; consecutive rows.
        rows: one a tensor and place where the units stand.
    """

    name: str
    n: int
    rows: tuple[Rows, ...]


def block_rows(pair: Pair, without: Collection[str] = ()) -> Iterator[BlockRows]:
    """The rows of every block with at least two units, one block after the other.

    Args:
        without: names of tensors that are not read.

    A unit's numbers in one tensor are as the function uses them. Of large blocks and long rows an evenly spread part is
    read. A single number a unit, such as a bias, says too little and is left out.
    """
    architecture = pair.architecture
    views = views_of(architecture)
    units = Units(architecture, views)
    double = sum(entries(view) for view in views) <= _DOUBLE
    slices = Slices(pair.reference, pair.moved, views, torch.float64 if double else torch.float32)
    slices.follow(np.arange(architecture.label_count, dtype=np.int32))
    free = np.zeros(architecture.scale_count, dtype=np.bool_)
    free[architecture.signs.rows] = True
    for place, block in enumerate(architecture.blocks):
        if block.n < 2:
            continue
        tables = [
            table
            for table in units.tables(place)
            if _numbers(views[table.view], table) > 1 and views[table.view].tensor.name not in without
        ]
        some = _some_units(block.units, block.n)
        most = min(_NUMBERS, max(_FEWEST, _IN_ALL // max(1, len(tables))))
        rows = [_rows(table, views[table.view], slices, some, most, free) for table in tables]
        if rows:
            yield BlockRows(block.name, min(block.n, _UNITS), tuple(rows))


def _numbers(view: View, table: Table) -> int:
    return entries(view) // max(1, len(view.dimensions[table.dimension])) * table.positions.shape[1]


def _some_units(units: int, n: int) -> Ints:
    """Units to look at: whole parents, or an evenly spread part of one parent."""
    if units <= _UNITS:
        return np.arange(units, dtype=np.int64)
    if n > _UNITS:
        return np.linspace(0, n - 1, _UNITS).astype(np.int64)
    parents = np.linspace(0, units // n - 1, max(1, _UNITS // n)).astype(np.int64)
    return (parents[:, None] * n + np.arange(n)).reshape(-1)


def _rows(
    table: Table, view: View, slices: Slices, some: Ints, most: int, free: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Rows:
    positions = table.positions[some]
    beside: list[Ints] = [
        np.zeros(0, dtype=np.int64) if place == table.dimension else np.arange(len(own), dtype=np.int64)
        for place, own in enumerate(view.dimensions)
    ]
    places: list[Ints | None] = list(thinned(beside, max(1, most // positions.shape[1])))
    places[table.dimension] = positions.reshape(-1)
    pair = slices.pair(table.view, places, [])
    reference, moved = (part.movedim(table.dimension, 0).reshape(len(positions), -1) for part in pair)
    signed = any(
        coefficient % 2 != 0 and along == {table.dimension} and bool(free[variables.reshape(-1)].any())
        for coefficient, along, variables in view.scales
    )
    return Rows(view.tensor.name, reference, moved, signed)
