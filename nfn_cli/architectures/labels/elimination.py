"""Sparse linear elimination over the real numbers and GF(2), many rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.hashing import Ints, firsts, mixed, once, summed

Floats = NDArray[np.float64]

# Coefficients are small rational numbers; what rounding leaves of zero is far below this.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Entries:
    """A sparse matrix: coefficient of each (row, column), ordered by row, no pair twice and no coefficient zero."""

    rows: Ints
    columns: Ints
    coefficients: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> Entries:
        """Some of the entries."""
        return Entries(self.rows[chosen], self.columns[chosen], self.coefficients[chosen])


@dataclass(frozen=True)
class Pivots:
    """Columns that follow from others: pivot p = Σ coefficient · column over the entries whose row is p.

    Attributes:
        columns: the pivots.
        follows: entries (pivot, other column, coefficient); none for a pivot that is zero. No pivot of one step
            occurs among the other columns of the same step or of a later one.
    """

    columns: Ints
    follows: Entries


def gathered(rows: Ints, columns: Ints, coefficients: Floats, mod2: bool) -> Entries:
    """Entries from a list in which pairs may be met several times; those are added."""
    if not len(rows):
        return Entries(rows, columns, coefficients)
    width = int(columns.max()) + 1
    key = rows * width + columns
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    total = np.add.reduceat(coefficients[order], starts)
    if mod2:
        total = np.rint(np.abs(total)) % 2
    key = key[starts]
    kept = np.abs(total) > _NOTHING
    key = key[kept]
    return Entries(key // width, key % width, total[kept])


def joined(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """All positions of several ranges: which range each is from, and the position."""
    which = np.repeat(np.arange(len(starts)), lengths)
    ends = np.cumsum(lengths)
    return which, np.arange(len(which)) - np.repeat(ends - lengths, lengths) + np.repeat(starts, lengths)


def eliminated(entries: Entries, mod2: bool) -> list[Pivots]:
    """Steps of pivots, as many in all as the rank, from rows that each say Σ coefficient · column = 0."""
    steps: list[Pivots] = []
    columns = int(entries.columns.max()) + 1 if len(entries) else 0
    entries = _distinct(entries, columns)
    seed = 0
    while len(entries):
        # Rows are renumbered, so that the arrays below shrink with the matrix.
        entries = Entries(
            np.cumsum(np.r_[False, entries.rows[1:] != entries.rows[:-1]]), entries.columns, entries.coefficients
        )
        length = np.bincount(entries.rows)
        alone = length[entries.rows] == 1
        if alone.any():
            zero = once(entries.columns[alone])
            steps.append(Pivots(zero, entries.take(np.zeros(0, np.int64))))
            gone = np.zeros(columns, bool)
            gone[zero] = True
            entries = _distinct(entries.take(~gone[entries.columns]), columns)
            continue
        often = np.bincount(entries.columns, minlength=columns)
        # Each row's best pivot: the column that is in the fewest rows, of those the one with the largest coefficient.
        best = np.lexsort((-np.abs(entries.coefficients), often[entries.columns], entries.rows))
        first = np.flatnonzero(np.r_[True, entries.rows[1:] != entries.rows[:-1]])
        place = best[first]
        pivot = entries.columns[place]
        chosen = often[pivot] == 1
        private = bool(chosen.any())
        if not private:
            seed += 1
            chosen = _independent(entries, pivot, length, columns, seed)
        picked = chosen[entries.rows]
        rest = entries.take(~picked)
        is_pivot = np.zeros(len(entries), bool)
        is_pivot[place[chosen]] = True
        scale = -1.0 / entries.coefficients[place]
        others = entries.take(picked & ~is_pivot)
        follows = Entries(pivot[others.rows], others.columns, others.coefficients * scale[others.rows])
        if mod2:
            follows = Entries(follows.rows, follows.columns, np.abs(follows.coefficients))
        steps.append(Pivots(pivot[chosen], follows))
        entries = rest if private else substituted(rest, steps[-1], columns, mod2)
    return steps


def substituted(entries: Entries, step: Pivots, columns: int, mod2: bool) -> Entries:
    """The same rows with a step's pivots replaced by what they follow from."""
    start, count = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    is_pivot = np.zeros(columns, bool)
    is_pivot[step.columns] = True
    order = np.argsort(step.follows.rows, kind="stable")
    follows = step.follows.take(order)
    if len(follows):
        begins = np.flatnonzero(np.r_[True, follows.rows[1:] != follows.rows[:-1]])
        start[follows.rows[begins]] = begins
        count[follows.rows[begins]] = np.diff(np.r_[begins, len(follows)])
    hit = is_pivot[entries.columns]
    if not hit.any():
        return entries
    met = entries.take(hit)
    which, where = joined(start[met.columns], count[met.columns])
    kept = entries.take(~hit)
    return gathered(
        np.concatenate([kept.rows, met.rows[which]]),
        np.concatenate([kept.columns, follows.columns[where]]),
        np.concatenate([kept.coefficients, met.coefficients[which] * follows.coefficients[where]]),
        mod2,
    )


def _independent(entries: Entries, pivot: Ints, length: Ints, columns: int, seed: int) -> NDArray[np.bool_]:
    """Rows that can be pivoted on at once: none holds another's pivot. The first in the order is always among them."""
    rows = len(pivot)
    shuffled = np.random.default_rng(seed).permutation(rows)
    rank = np.empty(rows, np.int64)  # short rows first: they fill in the least
    rank[np.lexsort((shuffled, length))] = np.arange(rows)
    first = np.full(columns, rows, np.int64)
    np.minimum.at(first, entries.columns, rank[entries.rows])
    chosen = first[pivot] == rank
    claim = np.full(columns, rows, np.int64)
    claim[pivot[chosen]] = rank[chosen]
    beaten = claim[entries.columns] < rank[entries.rows]
    chosen[entries.rows[beaten]] = False
    return chosen


def _distinct(entries: Entries, columns: int) -> Entries:
    """The rows without multiples of others that are easily seen."""
    if not len(entries):
        return entries
    first = np.flatnonzero(np.r_[True, entries.rows[1:] != entries.rows[:-1]])
    lead = np.repeat(entries.coefficients[first], np.diff(np.r_[first, len(entries)]))
    rows = np.cumsum(np.r_[False, entries.rows[1:] != entries.rows[:-1]])
    # Rounded to 2⁻⁴⁰, so that equal multiples are equal numbers; what is missed here is eliminated later.
    ratio = np.rint(entries.coefficients / lead * 2.0**40).astype(np.int64)
    key = summed(rows, mixed(entries.columns, ratio), int(rows[-1]) + 1)
    kept = np.zeros(len(key), bool)
    kept[firsts(key)] = True
    return entries.take(kept[rows])
