"""Figures: areas under the curve with intervals over families, and shares with exact intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from results import Result

_DRAWS = 1_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """An estimate and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def area(kin: Sequence[float], apart: Sequence[float], kin_weights: object, apart_weights: object) -> float:
    """The chance that one of the kin scores higher than a pair trained apart, ties half; weighted.

    >>> area([2.0, 1.0], [1.0, 0.0], [1, 1], [1, 1])
    0.875
    """
    one, other = np.asarray(kin)[:, None], np.asarray(apart)[None]
    wins = np.where(one > other, 1.0, np.where(one == other, 0.5, 0.0))
    weights = np.outer(np.asarray(kin_weights, float), np.asarray(apart_weights, float))
    total = weights.sum()
    return float((wins * weights).sum() / total) if total else math.nan


def auc(kin: Sequence[Result], apart: Sequence[Result], seed: int = 0) -> Figure:
    """The area of one statistic, with a bootstrap interval of 95 % over families.

    A pair trained apart hangs on two families and is drawn as often as both together. Pairs of which the statistic says
    nothing count as the least kin.
    """
    if not kin or not apart or all(result.score is None for result in (*kin, *apart)):
        return Figure(math.nan, math.nan, math.nan)
    scores = [
        [-math.inf if result.score is None else result.score for result in results]
        for results in (list(kin), list(apart))
    ]
    kinds = {kind: sorted({r.one for r in kin if r.kind == kind}) for kind in sorted({r.kind for r in kin})}
    value = area(*scores, np.ones(len(kin)), np.ones(len(apart)))
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(_DRAWS):
        times: dict[tuple[str, int], int] = {}
        for kind, numbers in kinds.items():
            for number in rng.choice(numbers, len(numbers)):
                times[kind, int(number)] = times.get((kind, int(number)), 0) + 1
        own = [times.get((r.kind, r.one), 0) for r in kin]
        others = [times.get((r.kind, r.one), 0) * times.get((r.kind, r.other), 0) for r in apart]
        drawn.append(area(*scores, own, others))
    low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Figure(value, float(low), float(high))


def share(count: int, total: int) -> Figure:
    """A share with the interval of Clopper and Pearson (95 %)."""
    from scipy.stats import beta

    if not total:
        return Figure(math.nan, math.nan, math.nan)
    rest = (1 - _LEVEL) / 2
    low = float(beta.ppf(rest, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - rest, count + 1, total - count)) if count < total else 1.0
    return Figure(count / total, low, high)
