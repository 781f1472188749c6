"""What scales and signs multiply an entry by, as one number an entry: equal numbers, equal factors.

The factor of an entry is exp(Σ coefficient · log|d|) times a sign, sums over free variables: its *character*. Characters
are compared by their values at random free variables, so that different ones agree with a probability of about 2⁻⁴⁰.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Use

Ints = NDArray[np.int64]

_STEPS = 2.0**40  # values are rounded to 2⁻⁴⁰; coefficients are small fractions


@dataclass(frozen=True)
class Characters:
    """Every scale variable at one random choice of the free ones.

    Attributes:
        logs: float64 [scales].
        signs: int64 [scales], 62 random choices at once, a bit each.
    """

    logs: NDArray[np.float64]
    signs: Ints

    @classmethod
    def of(cls, architecture: LabelledArchitecture) -> Characters:
        """Of an architecture's free scales and signs."""
        rng = np.random.default_rng(0)
        logs = architecture.logs.values(rng.uniform(-1.0, 1.0, architecture.logs.free))
        free = rng.integers(1, 1 << 62, architecture.signs.free)
        signs = np.zeros(architecture.scale_count, np.int64)
        odd = np.rint(architecture.signs.coefficients).astype(np.int64) % 2 == 1
        np.bitwise_xor.at(signs, architecture.signs.rows[odd], free[architecture.signs.columns[odd]])
        return cls(logs, signs)

    def at(self, use: Use) -> tuple[Ints, Ints]:
        """Two numbers for each entry of a view, int64 of its shape: of the scales and of the signs; 0 for neither."""
        logs, signs = np.zeros(use.shape), np.zeros(use.shape, np.int64)
        for coefficient, variables in use.scales:
            logs = logs + coefficient * self.logs[variables]
            if coefficient % 2:
                signs = signs ^ self.signs[variables]
        return np.rint(logs * _STEPS / 16).astype(np.int64), signs
