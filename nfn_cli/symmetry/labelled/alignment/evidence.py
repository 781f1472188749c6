"""How well every unit of a block of A fits every unit of the same block of B, by the numbers that can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfn_cli.symmetry.labelled.alignment.known_scales import Knowledge
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices, marks, others, thinned
from nfn_cli.symmetry.labelled.alignment.unit_positions import Table, Units
from nfn_cli.symmetry.labelled.alignment.views import Flags, Ints

ENOUGH_NUMBERS = 4_096  # of a unit that are compared; more would not decide better
_FEWEST = 64  # at least so many numbers of a unit are taken from one tensor
_PAIRS = 1 << 27  # of units that are compared at once


@dataclass(frozen=True)
class Costs:
    """Squared distances between units of B (rows) and A (columns), and the squared sizes that they are compared with;
    float [parents, n, n] or, across parents, [1, units, units]."""

    cost: Tensor
    size: Tensor


@dataclass(frozen=True)
class _Source:
    """A table's part that can be compared: its columns with one unknown factor in common."""

    table: Table
    columns: Ints
    beside: list[Ints]
    key: tuple[bytes, bytes]
    scaled: bool
    signed: bool

    @property
    def numbers(self) -> int:
        """How many a unit has."""
        return len(self.columns) * math.prod(max(len(own), 1) for own in self.beside)


class Evidence:
    """The numbers by which units can be compared."""

    def __init__(self, units: Units, knowledge: Knowledge, slices: Slices) -> None:
        self.units, self.knowledge, self.slices = units, knowledge, slices

    def amount(self, block: int, clear: Flags) -> int:
        """How many numbers distinguish a unit from others; an unknown factor uses up one of them."""
        groups: dict[tuple[bytes, bytes], int] = {}
        for source in self._sources(block, clear, ()):
            groups[source.key] = groups.get(source.key, -int(source.scaled)) + source.numbers
        return sum(max(count, 0) for count in groups.values())

    def inner_amount(self, block: int, clear: Flags) -> int:
        """As `amount`, of a block whose parents are not settled, with what is in it."""
        above = self.units.lineage(block)[1:]
        own = sum(source.numbers for source in self._sources(block, clear, above))
        return own or sum(self.inner_amount(child, clear) for child in self.units.children[block])

    def own_costs(self, block: int, clear: Flags) -> Costs | None:
        """Costs by a block's own evidence alone; None where there is none."""
        return self._own(block, list(self._sources(block, clear, ())), across=False, most=ENOUGH_NUMBERS)

    def costs(self, block: int, clear: Flags, *, across: bool = False, budget: int = ENOUGH_NUMBERS) -> Costs | None:
        """Costs by a block's own evidence and, where there is none, by that of blocks inside: what the best partner of
        each inner unit costs. None where there is no evidence.

        Args:
            across: compare units of different parents too, because the parents are not settled.
            budget: so many numbers of a unit are compared, about.
        """
        above = self.units.lineage(block)[1:] if across else ()
        found = self._own(block, list(self._sources(block, clear, above)), across, budget)
        if found is not None:
            return found
        total: Costs | None = None
        for child in self.units.children[block]:
            inner = self.costs(child, clear, across=True, budget=budget)
            if inner is None:
                continue
            outer = _best_inner(inner, self.units.architecture.blocks[child].n)
            total = outer if total is None else Costs(total.cost + outer.cost, total.size + outer.size)
        return total if total is None or across else self._by_parent(block, total)

    def _by_parent(self, block: int, costs: Costs) -> Costs:
        own = self.units.architecture.blocks[block]
        parents, n = own.units // own.n, own.n
        if parents == 1:
            return costs
        each = torch.arange(parents)
        parts = [part[0].view(parents, n, parents, n)[each, :, each] for part in (costs.cost, costs.size)]
        return Costs(*parts)

    def _sources(self, block: int, clear: Flags, above: list[int] | tuple[()]) -> Iterator[_Source]:
        """The evidence of a block's own positions."""
        settled = self.units.settled(clear)
        own_settled = self.units.settled(clear, [block, *above])
        for table in self.units.tables(block):
            view = self.slices.views[table.view]
            labels = view.dimensions[table.dimension].labels
            assert labels is not None
            usable = np.flatnonzero(own_settled[labels[table.positions]].all(0))
            if not len(usable):
                continue
            parts = self.knowledge.parts(view)
            beside = others(view, table.dimension, parts, settled)
            if beside is None:
                continue
            logs, signs = marks(parts, table.dimension)
            positions = table.positions[:, usable]
            log_marks = np.broadcast_to(logs, len(labels))[positions].T
            sign_marks = np.broadcast_to(signs, len(labels))[positions].T
            keys = [(own.tobytes(), other.tobytes()) for own, other in zip(log_marks, sign_marks, strict=True)]
            known: dict[tuple[bytes, bytes], list[int]] = {}
            for place, key in enumerate(keys):
                known.setdefault(key, []).append(place)
            for key, places in known.items():
                scaled, signed = bool(log_marks[places[0]].any()), bool(sign_marks[places[0]].any())
                yield _Source(table, usable[places], beside, key, scaled, signed)

    def _own(self, block: int, sources: list[_Source], across: bool, most: int) -> Costs | None:
        own = self.units.architecture.blocks[block]
        if across and own.units**2 > _PAIRS:
            return None
        budget = max(_FEWEST, most // max(len(sources), 1))
        groups: dict[tuple[bytes, bytes], list[_Source]] = {}
        for source in sources:
            groups.setdefault(source.key, []).append(source)
        found: Costs | None = None
        for some in groups.values():
            if some[0].scaled and sum(source.numbers for source in some) < 2:
                continue
            rows = [pair for pair in (self._rows(source, budget) for source in some) if pair is not None]
            if not rows:
                continue
            ours, theirs = (torch.cat(part, 1) for part in zip(*rows, strict=True))
            n = own.units if across else own.n
            costs = _compared(ours.view(-1, n, ours.shape[1]), theirs.view(-1, n, ours.shape[1]), some[0])
            found = costs if found is None else Costs(found.cost + costs.cost, found.size + costs.size)
        return found

    def _rows(self, source: _Source, budget: int) -> tuple[Tensor, Tensor] | None:
        """A's and B's numbers [units, numbers], with a mean square of about 1; None where both are zero."""
        table = source.table
        view = self.slices.views[table.view]
        positions = table.positions[:, source.columns]
        places: list[Ints | None] = list(thinned(source.beside, max(1, budget // positions.shape[1])))
        places[table.dimension] = positions.reshape(-1)
        pair = self.slices.pair(table.view, places, self.knowledge.parts(view))
        ours, theirs = (part.movedim(table.dimension, 0).reshape(len(positions), -1) for part in pair)
        levels = _level(ours), _level(theirs)
        if not max(levels):
            return None
        # One level for both, so that rows that differ by a factor still do.
        level = math.sqrt(levels[0] * levels[1]) if source.scaled else max(levels)
        return ours / (level or 1.0), theirs / (level or 1.0)


def _compared(ours: Tensor, theirs: Tensor, source: _Source) -> Costs:
    if source.scaled:
        ours, theirs = (_unit(rows) * math.sqrt(rows.shape[-1]) for rows in (ours, theirs))
    size = theirs.square().sum(-1)[:, :, None] + ours.square().sum(-1)[:, None, :]
    inner = theirs @ ours.mT
    if source.signed:
        inner = inner.abs()
    return Costs((size - 2 * inner).clamp_min(0), size)


def _best_inner(costs: Costs, n: int) -> Costs:
    """Costs of outer units, from those of the `n` units in each."""
    cost, size = costs.cost[0], costs.size[0]
    parents = len(cost) // n
    best, at = cost.view(len(cost), parents, n).min(-1)
    sizes = size.view(len(cost), parents, n).gather(-1, at[..., None])[..., 0]
    return Costs(*(part.view(parents, n, parents).sum(1)[None] for part in (best, sizes)))


def _unit(rows: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


def _level(rows: Tensor) -> float:
    """The root of the mean square; 0 where all are zero or some are no finite numbers."""
    level = math.sqrt(rows.square().mean().item()) if rows.numel() else 0.0
    return level if math.isfinite(level) else 0.0
