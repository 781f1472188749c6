"""The scales from one network to another, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Solutions
from nfn_cli.symmetry.labelled.alignment.views import Flags, Ints, View
from nfn_cli.symmetry.labelled.free_scales import linked

Values = NDArray[np.float64]
MOST = 60.0  # of a measured factor's logarithm to the base 2: unrelated networks give any
_MOST_COUPLED = 600  # free values that are solved for together


@dataclass(frozen=True)
class Part:
    """The product of the scales of a view that vary along the same dimensions.

    Attributes:
        along: the dimensions.
        logs, signs: of what is known, one axis a dimension and 1 along the others.
        log_marks, sign_marks: numbers that stand for what is not known: 0 where nothing is unknown, equal where the
            same is.
        variables: (coefficient, variables) each.
    """

    along: frozenset[int]
    logs: Values
    signs: Flags
    log_marks: Values
    sign_marks: Ints
    variables: tuple[tuple[int, Ints], ...]

    @property
    def unknown(self) -> Flags:
        """Where anything is unknown."""
        return (self.log_marks != 0) | (self.sign_marks != 0)


class Behind:
    """The free values behind variables."""

    def __init__(self, solutions: Solutions) -> None:
        order = np.argsort(solutions.rows, kind="stable")
        self.columns = solutions.columns[order].astype(np.int64)
        self.coefficients = solutions.coefficients[order]
        self.first = np.searchsorted(solutions.rows[order], np.arange(solutions.variables + 1))

    def of(self, variables: Ints) -> tuple[Ints, Ints, Values]:
        """(place in `variables`, free value, coefficient) of each entry; `variables` int64 [n]."""
        first = self.first[variables]
        count = self.first[variables + 1] - first
        which = np.repeat(np.arange(len(variables)), count)
        entry = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        return which, self.columns[entry], self.coefficients[entry]


class Knowledge:
    """Free logarithms and signs, and which of them are known; the scales stand at B's positions.

    Attributes:
        log_known, log: bool and float64 [free logs].
        sign_known, sign: bool [free signs].
    """

    def __init__(self, architecture: LabelledArchitecture, *, scaled: bool = True) -> None:
        self.logs, self.signs = architecture.logs, architecture.signs
        self.behind_logs, self.behind_signs = Behind(self.logs), Behind(self.signs)
        self.log_known = np.full(self.logs.free, not scaled)
        self.sign_known = np.full(self.signs.free, not scaled)
        self.log = np.zeros(self.logs.free)
        self.sign = np.zeros(self.signs.free, dtype=np.bool_)
        rng = np.random.default_rng(0)
        self._log_marks = rng.standard_normal(self.logs.free)
        self._sign_marks = rng.integers(1, 1 << 62, self.signs.free)
        self.forget_measured()
        self.refresh()

    def forget_measured(self) -> None:
        """Equations that wait for others, and which views they are of."""
        self.pending = Equations()
        self.measured: dict[int, int] = {}

    def refresh(self) -> None:
        """Has to be called after every change."""
        self._parts: dict[View, list[Part]] = {}
        self._log_values = self.logs.values(np.where(self.log_known, self.log, 0.0))
        self._unknown_logs = self.logs.values(np.where(self.log_known, 0.0, self._log_marks))
        odd = self.signs.coefficients % 2 != 0
        rows, columns = self.signs.rows[odd], self.signs.columns[odd]
        self._sign_values = np.zeros(self.signs.variables, dtype=np.bool_)
        np.logical_xor.at(self._sign_values, rows, (self.sign & self.sign_known)[columns])
        self._unknown_signs = np.zeros(self.signs.variables, dtype=np.int64)
        np.bitwise_xor.at(self._unknown_signs, rows, np.where(self.sign_known, 0, self._sign_marks)[columns])

    def parts(self, view: View) -> list[Part]:
        """What multiplies a view's entries."""
        known = self._parts.get(view)
        if known is None:
            known = self._parts[view] = self._worked_out(view)
        return known

    def _worked_out(self, view: View) -> list[Part]:
        found: dict[frozenset[int], list[tuple[int, Ints]]] = {}
        for coefficient, along, variables in view.scales:
            found.setdefault(along, []).append((coefficient, variables))
        return [self._part(along, own) for along, own in found.items()]

    def _part(self, along: frozenset[int], own: list[tuple[int, Ints]]) -> Part:
        # Without axes: what multiplies the whole view is one number.
        logs: Values = np.zeros(())
        marks: Values = np.zeros(())
        signs: Flags = np.zeros((), dtype=np.bool_)
        sign_marks: Ints = np.zeros((), dtype=np.int64)
        for coefficient, variables in own:
            logs = logs + coefficient * self._log_values[variables]
            marks = marks + coefficient * self._unknown_logs[variables]
            if coefficient % 2:
                signs = signs ^ self._sign_values[variables]
                sign_marks = sign_marks ^ self._unknown_signs[variables]
        shape = np.broadcast_shapes(*(variables.shape for _, variables in own))
        return Part(
            along,
            np.broadcast_to(logs, shape),
            np.broadcast_to(signs, shape),
            np.broadcast_to(np.round(marks, 9) + 0.0, shape),
            np.broadcast_to(sign_marks, shape),
            tuple(own),
        )

    def learn(self) -> bool:
        """Use the pending equations as far as they determine free values; returns whether they did."""
        found = self._learn_logs()
        found |= self._learn_signs()
        if found:
            self.refresh()
        return found

    def _learn_logs(self) -> bool:
        any_found = False
        pending = self.pending.logs
        while True:
            pending.substitute(self.log_known, self.log)
            single = pending.single()
            if not single.any():
                break
            free, value, weight = pending.columns[single], pending.right_of(single), pending.weights_of(single)
            coefficient = pending.coefficients[single]
            weight = weight * coefficient**2
            total = np.bincount(free, weight, minlength=len(self.log))
            mean = np.bincount(free, weight * value / coefficient, minlength=len(self.log))
            some = np.flatnonzero(total > 0)
            self.log[some] = np.clip(mean[some] / total[some], -MOST, MOST)
            self.log_known[some] = True
            any_found = True
        return self._learn_coupled() or any_found

    def _learn_coupled(self) -> bool:
        """Several unknown values at once, where the equations have one solution."""
        pending = self.pending.logs
        if not len(pending.rows):
            return False
        found = False
        names = linked(pending.rows, pending.columns, len(self.log))[pending.columns]
        for name in np.unique(names):
            part = names == name
            rows, columns = np.unique(pending.rows[part]), np.unique(pending.columns[part])
            if len(columns) > _MOST_COUPLED or len(rows) < len(columns):
                continue
            matrix = np.zeros((len(rows), len(columns)))
            at = (np.searchsorted(rows, pending.rows[part]), np.searchsorted(columns, pending.columns[part]))
            np.add.at(matrix, at, pending.coefficients[part])
            weight = np.sqrt(pending.weights[rows])[:, None]
            if np.linalg.matrix_rank(matrix) < len(columns):
                continue
            self.log[columns] = np.linalg.lstsq(matrix * weight, pending.right[rows] * weight[:, 0], rcond=None)[0]
            self.log[columns] = np.clip(self.log[columns], -MOST, MOST)
            self.log_known[columns] = found = True
        if found:
            pending.substitute(self.log_known, self.log)
        return found

    def _learn_signs(self) -> bool:
        any_found = False
        pending = self.pending.signs
        while True:
            pending.substitute(self.sign_known, self.sign.astype(np.float64))
            single = pending.single()
            if single.any():
                free, weight = pending.columns[single], pending.weights_of(single)
                votes = np.where(np.rint(pending.right_of(single)) % 2 == 1, weight, -weight)
                total = np.bincount(free, votes, minlength=len(self.sign))
                some = np.unique(free)
                self.sign[some] = total[some] > 0
                self.sign_known[some] = True
            elif not len(pending.rows) or not self._eliminate_signs():
                return any_found
            any_found = True

    def _eliminate_signs(self) -> bool:
        """Solve for signs that occur together, by the independent equations of most weight, if these determine all."""
        pending, found = self.pending.signs, False
        names = linked(pending.rows, pending.columns, len(self.sign))[pending.columns]
        for name in np.unique(names):
            part = names == name
            rows, columns = np.unique(pending.rows[part]), np.unique(pending.columns[part])
            if len(columns) > _MOST_COUPLED or len(rows) < len(columns):
                continue
            rows = rows[np.argsort(-pending.weights[rows], kind="stable")]
            table = np.zeros((len(rows), len(columns) + 1), dtype=np.bool_)
            place = {row: at for at, row in enumerate(rows.tolist())}
            at_rows = np.array([place[row] for row in pending.rows[part].tolist()])
            at_columns = np.searchsorted(columns, pending.columns[part])
            np.logical_xor.at(table, (at_rows, at_columns), np.rint(pending.coefficients[part]) % 2 == 1)
            table[:, -1] = np.rint(pending.right[rows]) % 2 == 1
            pivots: dict[int, NDArray[np.bool_]] = {}
            for row in table:
                for column, other in pivots.items():
                    if row[column]:
                        row ^= other
                some = np.flatnonzero(row[:-1])
                if len(some):
                    column = int(some[0])
                    for other in pivots.values():
                        if other[column]:
                            other ^= row
                    pivots[column] = row
                if len(pivots) == len(columns):
                    break
            if len(pivots) < len(columns):
                continue
            for column, row in pivots.items():
                self.sign[columns[column]] = row[-1]
            self.sign_known[columns] = found = True
        return found


class System:
    """Sparse linear equations over free values, each with a weight."""

    def __init__(self) -> None:
        self.rows: Ints = np.zeros(0, dtype=np.int64)
        self.columns: Ints = np.zeros(0, dtype=np.int64)
        self.coefficients: Values = np.zeros(0)
        self.right: Values = np.zeros(0)
        self.weights: Values = np.zeros(0)
        self.views: Ints = np.zeros(0, dtype=np.int64)

    def add(
        self,
        view: int,
        rows: Ints,
        columns: Ints,
        coefficients: Values,
        right: Values,
        weights: Values,
        modulo: bool,
    ) -> None:
        """Further equations: entries (row among them, free value, coefficient), and what each row is."""
        count = int(columns.max()) + 1 if len(columns) else 1
        key, which = np.unique(rows * count + columns, return_inverse=True)
        total = np.bincount(which, coefficients, minlength=len(key))
        kept = np.rint(total) % 2 != 0 if modulo else np.abs(total) > 1e-9
        self.rows = np.concatenate([self.rows, key[kept] // count + len(self.right)])
        self.columns = np.concatenate([self.columns, key[kept] % count])
        self.coefficients = np.concatenate([self.coefficients, total[kept]])
        self.right, self.weights = np.concatenate([self.right, right]), np.concatenate([self.weights, weights])
        self.views = np.concatenate([self.views, np.full(len(right), view)])

    def forget(self, view: int) -> None:
        """Remove the equations that were measured on a view."""
        self._keep((self.views != view)[self.rows])

    def _keep(self, entries: Flags) -> None:
        numbers, rows = np.unique(self.rows[entries], return_inverse=True)
        self.rows, self.columns, self.coefficients = rows, self.columns[entries], self.coefficients[entries]
        self.right, self.weights, self.views = self.right[numbers], self.weights[numbers], self.views[numbers]

    def substitute(self, known: Flags, values: Values) -> None:
        """Insert known values, and remove the rows that have no unknown left."""
        gone = known[self.columns]
        np.subtract.at(self.right, self.rows[gone], self.coefficients[gone] * values[self.columns[gone]])
        self._keep(~gone)

    def single(self) -> Flags:
        """Which entries are the only unknown of their equation."""
        return np.bincount(self.rows, minlength=len(self.right))[self.rows] == 1

    def right_of(self, some: Flags) -> Values:
        """Right sides of entries."""
        return self.right[self.rows[some]]

    def weights_of(self, some: Flags) -> Values:
        """Weights of entries."""
        return self.weights[self.rows[some]]


class Equations:
    """The measured equations that are not used yet, for logarithms and for signs."""

    def __init__(self) -> None:
        self.logs, self.signs = System(), System()

    def forget(self, view: int) -> None:
        """Leave out what was measured of a view."""
        self.logs.forget(view)
        self.signs.forget(view)
