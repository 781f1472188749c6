"""Free scales that are determined one after the other, by equations for sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Solutions
from nfn_cli.architectures.labels.elimination import Entries, gathered, joined
from nfn_cli.architectures.labels.hashing import mixed, summed
from nfn_cli.symmetry.labelled.free_scales import linked

_NOTHING = 1e-9  # of coefficients, which are small rational numbers
_MOST_COUPLED = 2_000  # free values that are settled together
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Terms = Sequence[tuple[int, NDArray[np.int32]]]


@dataclass(frozen=True)
class Sums:
    """Sums of free values, as far as they are known: constant + Σ coefficient · free value.

    Attributes:
        entries: the free values that are not settled; rows are the sums.
        constants: float64 [sums].
        open: whether a sum holds a free value that is not settled, bool [sums].
        silent: whether it holds one that has only met zeros so far, bool [sums].
    """

    entries: Entries
    constants: Floats
    open: Bools
    silent: Bools

    @property
    def known(self) -> Bools:
        """Which sums are determined."""
        return ~self.open


class Settled:
    """Equations for the free values of solutions, in the order in which they came: an earlier one wins over a later.

    The result does not depend on which values the solver chose as the free ones. Equations that contradict each other
    are fulfilled as well as possible: over the real numbers by least squares, over GF(2) those of most weight first.
    Values that follow from no equation stay open.

    Args:
        solutions: over the real numbers or GF(2).
        everything: whether all values are settled from the start, at 0.
    """

    def __init__(self, solutions: Solutions, *, mod2: bool, everything: bool = False) -> None:
        self.mod2 = mod2
        kept = (np.rint(solutions.coefficients) % 2 != 0) if mod2 else (solutions.coefficients != 0)
        if everything:
            kept = np.zeros(len(kept), dtype=np.bool_)
        rows, order = solutions.rows[kept], np.argsort(solutions.rows[kept], kind="stable")
        self._free = solutions.free
        self._columns = solutions.columns[kept][order].astype(np.int64)
        self._coefficients = np.ones(len(order)) if mod2 else solutions.coefficients[kept][order]
        self._lengths = np.bincount(rows, minlength=solutions.variables).astype(np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        # What a settled value follows from: a range of the pool, and a constant.
        self._follows, self._pool_columns = np.zeros(self._free, dtype=np.bool_), [np.zeros(0, np.int64)]
        self._pool_coefficients = [np.zeros(0)]
        self._pool_size = 0
        self._from, self._count = np.zeros(self._free, np.int64), np.zeros(self._free, np.int64)
        self._constant = np.zeros(self._free)
        self._silent = np.zeros(self._free, dtype=np.bool_)
        self._seen: dict[tuple[tuple[int, int], ...], tuple[Terms, Sums]] = {}

    def sums(self, terms: Terms, count: int) -> Sums:
        """The sums of variables that some terms stand for, one for each entry of their flat arrays [count].

        For the same arrays, only what was determined since the last call is computed.
        """
        key = tuple((factor, id(variables)) for factor, variables in terms)
        if key in self._seen:
            found = self._seen[key][1]
            if not len(found.entries):
                return found
        else:
            found = self._from_terms(terms, count)
        found = self._followed(found.entries, found.constants)
        self._seen[key] = (terms, found)  # with the arrays themselves, so that their identities stay theirs
        return found

    def _from_terms(self, terms: Terms, count: int) -> Sums:
        rows, columns, coefficients = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
        for factor, variables in terms:
            if self.mod2 and not factor % 2:
                continue
            which, where = joined(self._starts[variables], self._lengths[variables])
            rows.append(which)
            columns.append(self._columns[where])
            coefficients.append(self._coefficients[where] * (1.0 if self.mod2 else factor))
        entries = gathered(np.concatenate(rows), np.concatenate(columns), np.concatenate(coefficients), self.mod2)
        nothing = np.zeros(count, dtype=np.bool_)
        return Sums(entries, np.zeros(count), nothing, nothing)

    def values(self) -> Floats:
        """All free values [free]; 0 for those that nothing settles."""
        every = np.arange(self._free)
        return self._followed(Entries(every, every, np.ones(self._free)), np.zeros(self._free)).constants

    def settle(self, sums: Sums, chosen: Ints, values: Floats, weights: Floats) -> None:
        """Make some sums equal to values, all of them together.

        Args:
            chosen: which sums, int64 [n]; they are open and differ.
            values, weights: float64 [n]; of two that contradict each other over GF(2), the one of more weight wins.
        """
        entries = _picked(sums.entries, chosen)
        right = values - sums.constants[chosen]
        self._silent[entries.columns] = False
        while len(entries):
            private = np.flatnonzero(np.bincount(entries.columns, minlength=self._free)[entries.columns] == 1)
            if not len(private):
                break
            rows, first = np.unique(entries.rows[private], return_index=True)
            place = private[first]
            scale = 1.0 / entries.coefficients[place]
            of_row, number = np.zeros(len(chosen), dtype=np.bool_), np.zeros(len(chosen), np.int64)
            of_row[rows], number[rows] = True, np.arange(len(rows))
            is_pivot = np.zeros(len(entries), dtype=np.bool_)
            is_pivot[place] = True
            others = entries.take(of_row[entries.rows] & ~is_pivot)
            which = number[others.rows]
            self._define(
                entries.columns[place],
                Entries(which, others.columns, -others.coefficients * scale[which]),
                right[rows] * scale,
            )
            entries = entries.take(~of_row[entries.rows])
        if len(entries):
            self._settle_coupled(entries, right, weights)

    def silence(self, sums: Sums, chosen: Ints, live: Ints) -> None:
        """Note that some sums have met zeros only: free values in them, and in none of the `live` ones, are silent."""
        mine = np.zeros(self._free, dtype=np.bool_)
        mine[_picked(sums.entries, chosen).columns] = True
        mine[_picked(sums.entries, live).columns] = False
        self._silent |= mine & ~self._follows

    def _followed(self, entries: Entries, constants: Floats) -> Sums:
        while True:
            hit = self._follows[entries.columns]
            if not hit.any():
                break
            met, kept = entries.take(hit), entries.take(~hit)
            constants = constants + np.bincount(
                met.rows, met.coefficients * self._constant[met.columns], minlength=len(constants)
            )
            which, where = joined(self._from[met.columns], self._count[met.columns])
            self._flatten()
            entries = gathered(
                np.concatenate([kept.rows, met.rows[which]]),
                np.concatenate([kept.columns, self._pool_columns[0][where]]),
                np.concatenate([kept.coefficients, met.coefficients[which] * self._pool_coefficients[0][where]]),
                self.mod2,
            )
        if self.mod2:
            constants = np.rint(constants) % 2
        unsettled, silent = np.zeros(len(constants), dtype=np.bool_), np.zeros(len(constants), dtype=np.bool_)
        unsettled[entries.rows] = True
        silent[entries.rows[self._silent[entries.columns]]] = True
        return Sums(entries, constants, unsettled, silent)

    def _flatten(self) -> None:
        if len(self._pool_columns) > 1:
            self._pool_columns = [np.concatenate(self._pool_columns)]
            self._pool_coefficients = [np.concatenate(self._pool_coefficients)]

    def _define(self, pivots: Ints, others: Entries, constants: Floats) -> None:
        """Value pivots[i] = constants[i] + Σ of the entries whose row is i; `others` are ordered by rows."""
        counts = np.bincount(others.rows, minlength=len(pivots))
        self._from[pivots] = self._pool_size + np.cumsum(counts) - counts
        self._count[pivots] = counts
        self._constant[pivots] = constants % 2 if self.mod2 else constants
        self._follows[pivots] = True
        self._silent[pivots] = False
        self._pool_columns.append(others.columns)
        self._pool_coefficients.append(np.ones(len(others)) if self.mod2 else others.coefficients)
        self._pool_size += len(others)

    def _settle_coupled(self, entries: Entries, right: Floats, weights: Floats) -> None:
        names = linked(entries.rows, entries.columns, self._free)[entries.columns]
        for name in np.unique(names):
            part = entries.take(names == name)
            rows, columns = np.unique(part.rows), np.unique(part.columns)
            if len(columns) > _MOST_COUPLED:
                continue  # stays open, and is reported
            matrix = np.zeros((len(rows), len(columns)))
            matrix[np.searchsorted(rows, part.rows), np.searchsorted(columns, part.columns)] = part.coefficients
            if self.mod2:
                order = np.argsort(-weights[rows], kind="stable")
                matrix, wanted = matrix[order], right[rows][order] % 2
            else:
                wanted = matrix @ np.linalg.lstsq(matrix, right[rows], rcond=None)[0]
            self._define_reduced(*_reduced(np.column_stack([matrix, wanted]), self.mod2), columns)

    def _define_reduced(self, table: Floats, pivots: list[int], columns: Ints) -> None:
        left = table[:, :-1].copy()
        left[np.arange(len(pivots)), pivots] = 0.0
        row, column = np.nonzero(left)
        others = Entries(row.astype(np.int64), columns[column], -left[row, column])
        self._define(columns[pivots], others, table[:, -1].copy())


def same(sums: Sums, chosen: Ints) -> tuple[Ints, Ints]:
    """Which of the chosen sums hold the same open free values.

    Returns:
        A class for each chosen one, int64 [chosen], and of each class one of its sums.
    """
    entries = _picked(sums.entries, chosen)
    ratio = np.rint(entries.coefficients * 2.0**40).astype(np.int64)
    codes = summed(entries.rows, mixed(entries.columns, ratio), len(chosen))
    _, first, classes = np.unique(codes, return_index=True, return_inverse=True)
    return classes.reshape(-1).astype(np.int64), chosen[first]


def _picked(entries: Entries, chosen: Ints) -> Entries:
    """The entries of some rows, which are numbered anew in the order of `chosen`."""
    starts = np.searchsorted(entries.rows, chosen, side="left")
    which, where = joined(starts, np.searchsorted(entries.rows, chosen, side="right") - starts)
    return Entries(which, entries.columns[where], entries.coefficients[where])


def _reduced(table: Floats, mod2: bool) -> tuple[Floats, list[int]]:
    """Rows that are independent, reduced, and the place of each one's leading 1; the last column is the right side."""
    kept: list[Floats] = []
    pivots: list[int] = []
    for row in table:
        for own, pivot in zip(kept, pivots, strict=True):
            row = (row + own * row[pivot]) % 2 if mod2 else row - own * row[pivot]
        place = int(np.argmax(np.abs(row[:-1])))
        if abs(row[place]) <= _NOTHING:
            continue
        row = row if mod2 else np.where(np.abs(row / row[place]) > _NOTHING, row / row[place], 0.0)
        kept = [(own + row * own[place]) % 2 if mod2 else own - row * own[place] for own in kept]
        kept.append(row)
        pivots.append(place)
    return np.array(kept).reshape(len(kept), table.shape[1]), pivots
