"""Figures: areas under the curve with intervals over families, and shares with exact intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from results import Result

_DRAWS = 1_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """An estimate and its interval, which is not shown where every draw gave the estimate."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        if self.low == self.high == self.value:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auc(kin: Sequence[Result], apart: Sequence[Result], seed: int = 0) -> Figure:
    """The chance that one of the kin scores higher than a pair trained apart (ties: one half), of one statistic.

    The interval of 95 % is a bootstrap over families. A pair trained apart hangs on two families, and is drawn as often
    as both together. Pairs of which the statistic says nothing count as the least kin.
    """
    if not kin or not apart or all(result.score is None for result in (*kin, *apart)):
        return Figure(math.nan, math.nan, math.nan)
    wins = _wins(_scores(kin), _scores(apart))
    families = sorted({(result.kind, result.one) for result in kin})
    place = {family: number for number, family in enumerate(families)}
    owner = np.eye(len(families))[:, [place[result.kind, result.one] for result in kin]]
    by_family, counts = owner @ wins, owner.sum(1)  # [families, pairs apart], [families]
    drawn = _multiplicities(families, np.random.default_rng(seed))
    pairs = np.ones((_DRAWS, len(apart)))
    for number, result in enumerate(apart):
        for own in (result.one, result.other):
            pairs[:, number] *= drawn[:, place[result.kind, own]] if (result.kind, own) in place else 0
    totals = (drawn @ counts) * pairs.sum(1)
    areas = np.einsum("df,fp,dp->d", drawn, by_family, pairs)[totals > 0] / totals[totals > 0]
    if not len(areas):
        return Figure(float(wins.mean()), math.nan, math.nan)
    low, high = np.quantile(areas, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Figure(float(wins.mean()), float(low), float(high))


def _scores(results: Sequence[Result]) -> NDArray[np.float64]:
    return np.array([-math.inf if result.score is None else result.score for result in results])


def _wins(kin: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where a kin scores higher, one half where equal; [kin, apart].

    >>> _wins(np.array([2.0, 1.0]), np.array([1.0, 0.0])).tolist()
    [[1.0, 1.0], [0.5, 1.0]]
    """
    one, other = kin[:, None], apart[None]
    return np.where(one > other, 1.0, np.where(one == other, 0.5, 0.0))


def _multiplicities(families: Sequence[tuple[str, int]], rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each family is drawn in each draw, with replacement within its kind; [draws, families]."""
    found = np.zeros((_DRAWS, len(families)))
    for kind in sorted({kind for kind, _ in families}):
        own = [number for number, family in enumerate(families) if family[0] == kind]
        found[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), _DRAWS)
    return found


def share(count: int, total: int) -> Figure:
    """A share with the interval of Clopper and Pearson (95 %)."""
    from scipy.stats import beta

    if not total:
        return Figure(math.nan, math.nan, math.nan)
    rest = (1 - _LEVEL) / 2
    low = float(beta.ppf(rest, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - rest, count + 1, total - count)) if count < total else 1.0
    return Figure(count / total, low, high)
