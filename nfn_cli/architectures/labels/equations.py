"""Linear equations over scale variables, and their solutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfn_cli.architectures.labels.elimination import (
    Entries,
    Floats,
    Pivots,
    eliminated,
    gathered,
    joined,
)
from nfn_cli.architectures.labels.group import Solutions
from nfn_cli.architectures.labels.hashing import Ints, firsts, mixed, once
from nfn_cli.architectures.labels.union import UnionFind

Terms = Sequence[tuple[float, NDArray[Any]]]


class Equations:
    """Homogeneous equations over variables, over the real numbers or GF(2).

    >>> logs = Equations(mod2=False)
    >>> up, down = logs.new(2), logs.new(2)
    >>> logs.relate([(1, up), (1, down)])
    >>> logs.solve([[(1, up)], [(1, down)]]).free
    2
    """

    def __init__(self, mod2: bool) -> None:
        self.mod2 = mod2
        self._same = UnionFind()
        self._zero: list[Ints] = []
        self._rows: list[tuple[Floats, Ints]] = []

    @property
    def count(self) -> int:
        """How many variables there are."""
        return len(self._same)

    def new(self, n: int) -> Ints:
        """`n` new variables, int64 [n]."""
        return self._same.new(n)

    def equal(self, a: ArrayLike, b: ArrayLike) -> None:
        """a[i] = b[i], entry by entry of the arrays, which broadcast."""
        self._same.union(a, b)

    def zero(self, a: ArrayLike) -> None:
        """a[i] = 0 (a factor of 1, or of plus)."""
        self._zero.append(once(self._same.find(a).ravel()))

    def relate(self, terms: Terms) -> None:
        """Σ coefficient · array[i] = 0, entry by entry of the arrays, which broadcast.

        Raises:
            IndexError: there is no such variable.
            ValueError: a coefficient is no whole number, over GF(2).
        """
        coefficients, columns = self._terms(terms)
        if len(coefficients):
            self._rows.append((coefficients, _distinct_rows(columns)))

    def solve(self, visible: Iterable[Terms] = ()) -> Solutions:
        """All solutions, as far as they are seen.

        Args:
            visible: the sums that tensors use: lists of (coefficient, array of variables), as in `Use.scales`; the
                arrays of one list broadcast. Of the solutions that look alike there one is kept, so that the map from
                free variables to what is seen is injective and has the image of all solutions.

        Raises:
            IndexError, ValueError: as in `relate`.
        """
        root = self._same.find(np.arange(self.count))
        zero = np.zeros(self.count, bool)
        for ids in self._zero:
            zero[root[ids]] = True
        steps = eliminated(self._matrix(self._rows, root, zero), self.mod2)
        follows = _Expressions(root, zero, steps, self.mod2)
        seen: list[tuple[Floats, Ints]] = []
        for terms in visible:
            seen.extend(self._cross_sections(terms))
        image = follows.expand(self._matrix(seen, root, zero))
        # Columns with a pivot are as many as the rank, and independent: the others are combinations of them.
        free = np.zeros(self.count, bool)
        for step in eliminated(image, self.mod2):
            free[step.columns] = True
        return follows.solutions(free)

    def _terms(self, terms: Terms) -> tuple[Floats, Ints]:
        """The coefficients [k] and the variables [rows, k] of some terms; k is 0 where all vanish."""
        arrays = [(float(c), np.asarray(a, np.int64)) for c, a in terms]
        if self.mod2:
            if any(c != round(c) for c, _ in arrays):
                raise ValueError("a coefficient over GF(2) is no whole number")
            arrays = [(c % 2, a) for c, a in arrays]
        arrays = [(c, a) for c, a in arrays if c]
        if not arrays:
            return np.zeros(0), np.zeros((0, 0), np.int64)
        if any(a.size and not (a.min() >= 0 and a.max() < self.count) for _, a in arrays):
            raise IndexError("no such variable")
        spread = np.broadcast_arrays(*(a for _, a in arrays))
        return np.array([c for c, _ in arrays]), np.stack([a.ravel() for a in spread], 1)

    def _cross_sections(self, terms: Terms) -> list[tuple[Floats, Ints]]:
        """Rows that span what all entries of some terms span.

        A sum of arrays that vary over different axes, a_i + b_j, is spanned by its first row and column. So axes over
        which one array varies jointly are taken together, all their entries, and the others at 0.
        """
        arrays = [(c, np.asarray(a)) for c, a in terms]
        if not arrays or any(0 in a.shape for _, a in arrays):
            return []
        rank = max(a.ndim for _, a in arrays)
        arrays = [(c, a.reshape((1,) * (rank - a.ndim) + a.shape)) for c, a in arrays]
        together = UnionFind()
        axes = together.new(rank)
        for _, a in arrays:
            varies = [axis for axis, n in enumerate(a.shape) if n > 1]
            together.union(varies[:1], varies)
        groups = together.find(axes)
        found = []
        for group in np.unique(groups) if rank else [-1]:
            part = tuple(slice(None) if g == group else slice(0, 1) for g in groups)
            coefficients, columns = self._terms([(c, a[part]) for c, a in arrays])
            if len(coefficients):
                found.append((coefficients, columns))
        return found

    def _matrix(self, rows: list[tuple[Floats, Ints]], root: Ints, zero: NDArray[np.bool_]) -> Entries:
        """Rows over the variables that stand for their sets, without those that are zero."""
        numbers, columns, coefficients = [], [], []
        start = 0
        for factors, variables in rows:
            variables = _distinct_rows(root[variables])
            n, k = variables.shape
            kept = ~zero[variables].ravel()
            numbers.append((np.repeat(np.arange(n), k) + start)[kept])
            columns.append(variables.ravel()[kept])
            coefficients.append(np.tile(factors, n)[kept])
            start += n
        if not numbers:
            return Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        return gathered(np.concatenate(numbers), np.concatenate(columns), np.concatenate(coefficients), self.mod2)


class _Expressions:
    """Every variable as a sum of those that no step of an elimination has settled."""

    def __init__(self, root: Ints, zero: NDArray[np.bool_], steps: list[Pivots], mod2: bool) -> None:
        self._mod2, self._root, self._zero = mod2, root, zero
        count = len(root)
        settled = zero.copy()
        for step in steps:
            settled[step.columns] = True
        # In reverse, what a step's pivots follow from has been settled before.
        self._start, self._length = np.arange(count), np.where(settled, 0, 1)
        self._columns, self._coefficients = np.arange(count), np.ones(count)
        for step in reversed(steps):
            if not len(step.follows):
                continue
            entries = self.expand(step.follows)
            begins = np.flatnonzero(np.diff(entries.rows, prepend=-1))
            pivots = entries.rows[begins]
            self._start[pivots] = len(self._columns) + begins
            self._length[pivots] = np.diff(np.r_[begins, len(entries)])
            self._columns = np.concatenate([self._columns, entries.columns])
            self._coefficients = np.concatenate([self._coefficients, entries.coefficients])

    def expand(self, entries: Entries) -> Entries:
        """The same rows over the variables that are free so far."""
        which, where = joined(self._start[entries.columns], self._length[entries.columns])
        return gathered(
            entries.rows[which],
            self._columns[where],
            entries.coefficients[which] * self._coefficients[where],
            self._mod2,
        )

    def solutions(self, free: NDArray[np.bool_]) -> Solutions:
        """All variables, with those that are not `free` at zero."""
        root = self._root
        variables = np.flatnonzero(~self._zero[root])
        which, where = joined(self._start[root[variables]], self._length[root[variables]])
        columns = self._columns[where]
        kept = free[columns]
        number = np.cumsum(free) - 1
        return Solutions(
            variables=len(root),
            free=int(free.sum()),
            rows=variables[which][kept].astype(np.int32),
            columns=number[columns[kept]].astype(np.int32),
            coefficients=self._coefficients[where][kept],
        )


def _distinct_rows(rows: Ints) -> Ints:
    """Each row once, in the order of first sight."""
    if rows.shape[0] < 2 or not rows.shape[1]:
        return rows
    key = mixed(*(rows[:, k] for k in range(rows.shape[1])))
    return rows[firsts(key)]
