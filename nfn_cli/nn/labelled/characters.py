"""What scales and signs multiply an entry by, as two numbers an entry: equal numbers, equal factors.

The factor of an entry is exp(Σ coefficient · log|d|) times a sign, sums over free variables: its *character*.
Characters are compared by their values at random whole numbers in place of the free variables, modulo 2⁶⁴: exactly,
so that equal ones never differ, and different ones agree with a probability below 2⁻⁴⁰.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Solutions, Use

Ints = NDArray[np.int64]

_WHOLE = 720_720  # coefficients are fractions with small denominators: this many times them is a whole number


@dataclass(frozen=True)
class Characters:
    """Every scale variable at one random choice of the free ones.

    Attributes:
        logs: int64 [scales].
        signs: int64 [scales], 62 random choices at once, a bit each.
    """

    logs: Ints
    signs: Ints

    @classmethod
    def of(cls, architecture: LabelledArchitecture) -> Characters:
        """Of an architecture's free scales and signs."""
        rng = np.random.default_rng(0)
        logs = np.zeros(architecture.scale_count, np.int64)
        np.add.at(logs, *_drawn(architecture.logs, _WHOLE, rng))
        signs = np.zeros(architecture.scale_count, np.int64)
        rows, values = _drawn(_parity(architecture.signs), 1, rng)
        np.bitwise_xor.at(signs, rows, values)
        return cls(logs, signs)

    def at(self, use: Use) -> tuple[Ints, Ints]:
        """Two numbers for each entry of a view, int64 of its shape: of the scales and of the signs; 0 for neither."""
        logs, signs = np.zeros(use.shape, np.int64), np.zeros(use.shape, np.int64)
        for coefficient, variables in use.scales:
            logs = logs + coefficient * self.logs[variables]
            if coefficient % 2:
                signs = signs ^ self.signs[variables]
        return logs, signs


def _parity(signs: Solutions) -> Solutions:
    """Coefficients of signs modulo 2."""
    parity = (np.rint(signs.coefficients).astype(np.int64) % 2).astype(np.float64)
    return Solutions(signs.variables, signs.free, signs.rows, signs.columns, parity)


def _drawn(solutions: Solutions, times: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], Ints]:
    """For each coefficient the variable, and the coefficient times a random number of its free variable."""
    free = rng.integers(1, 1 << 62, max(1, solutions.free))
    whole = np.rint(solutions.coefficients * times).astype(np.int64)
    return solutions.rows, whole * free[solutions.columns]
