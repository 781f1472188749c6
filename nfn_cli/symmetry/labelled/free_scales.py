"""The free values that give the values of all scale variables: from an element back to its coordinates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Solutions

_CLOSE = 1e-11  # of logarithms: the rounding of a sum of a few
_MOST_COUPLED = 2_000  # free values that are solved for together
Values = NDArray[np.float64]


def free_logs(solutions: Solutions, values: Values, known: NDArray[np.bool_]) -> Values:
    """The free values [free] whose sums are `values` [variables].

    Args:
        known: which variables' values count, bool [variables].

    Raises:
        ValueError: there are none.
    """
    free = _solved(solutions, values, known, _least_squares, modulo=False)
    lost = np.abs(solutions.values(free) - values)[known]
    if bool((lost > _CLOSE * np.maximum(1.0, np.abs(values[known]))).any()):
        raise ValueError("the scales do not fit one another")
    return free


def free_signs(solutions: Solutions, values: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As `free_logs`, of signs: bool, over GF(2)."""
    free = _solved(solutions, values.astype(np.float64), known, _over_two, modulo=True)
    sums = np.rint(solutions.values(free)).astype(np.int64) % 2
    if not np.array_equal(sums[known], values[known]):
        raise ValueError("the signs do not fit one another")
    return free.astype(np.bool_)


def _solved(
    solutions: Solutions,
    values: Values,
    known: NDArray[np.bool_],
    dense: Callable[[Values, Values], Values],
    *,
    modulo: bool,
) -> Values:
    """Values that solve the equations if anything does; the caller looks whether they do."""
    kept = known[solutions.rows] & ((solutions.coefficients % 2 != 0) if modulo else (solutions.coefficients != 0))
    rows, columns = solutions.rows[kept].astype(np.int64), solutions.columns[kept].astype(np.int64)
    coefficients = solutions.coefficients[kept]
    free = np.zeros(solutions.free)
    left = values.copy()
    # Almost every variable depends on one free value, or on one more than is known: solve one after the other.
    while len(rows):
        alone = np.bincount(rows, minlength=solutions.variables)[rows] == 1
        if not alone.any():
            break
        found, first = np.unique(columns[alone], return_index=True)
        free[found] = (left[rows[alone]] / coefficients[alone])[first]
        if modulo:
            free[found] = np.rint(free[found]) % 2
        solved = np.zeros(solutions.free, dtype=np.bool_)
        solved[found] = True
        gone = solved[columns]
        np.subtract.at(left, rows[gone], coefficients[gone] * free[columns[gone]])
        rows, columns, coefficients = rows[~gone], columns[~gone], coefficients[~gone]
    for part in _parts(rows, columns, solutions.free):
        own_rows, own_columns = np.unique(rows[part]), np.unique(columns[part])
        if len(own_columns) > _MOST_COUPLED:
            raise ValueError(f"{len(own_columns)} scales hang together, which is too much to check")
        matrix = np.zeros((len(own_rows), len(own_columns)))
        at = (np.searchsorted(own_rows, rows[part]), np.searchsorted(own_columns, columns[part]))
        np.add.at(matrix, at, coefficients[part])
        free[own_columns] = dense(matrix, left[own_rows])
    return free


def _parts(rows: NDArray[np.int64], columns: NDArray[np.int64], free: int) -> list[NDArray[np.int64]]:
    """Entries in groups that have neither row nor column in common."""
    if not len(rows):
        return []
    return [np.flatnonzero(own) for own in _each(linked(rows, columns, free)[columns])]


def _each(names: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    return [names == name for name in np.unique(names)]


def linked(rows: NDArray[np.int64], columns: NDArray[np.int64], free: int) -> NDArray[np.int64]:
    """A number for each column [free], equal for columns that rows link: the smallest column among them."""
    own = np.arange(free)
    if not len(rows):
        return own
    while True:
        least = np.full(int(rows.max()) + 1, free)
        np.minimum.at(least, rows, own[columns])
        new = own.copy()
        np.minimum.at(new, columns, least[rows])
        if np.array_equal(new, own):
            return own
        own = new


def _least_squares(matrix: Values, right: Values) -> Values:
    found: Values = np.linalg.lstsq(matrix, right, rcond=None)[0].astype(np.float64)
    return found


def _over_two(matrix: Values, right: Values) -> Values:
    table = (np.rint(np.column_stack([matrix, right])) % 2).astype(np.bool_)
    pivots: list[int] = []
    for column in range(matrix.shape[1]):
        below = np.flatnonzero(table[len(pivots) :, column])
        if not len(below):
            continue
        place, row = len(pivots), len(pivots) + int(below[0])
        table[[place, row]] = table[[row, place]]
        others = table[:, column].copy()
        others[place] = False
        table[others] ^= table[place]
        pivots.append(column)
    free = np.zeros(matrix.shape[1])
    free[pivots] = table[: len(pivots), -1]
    return free
