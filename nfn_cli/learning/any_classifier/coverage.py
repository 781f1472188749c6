"""How often an interval holds the accuracy that was measured, by what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nfn_cli.learning.any_classifier.interval import SPARE, even_weights, set_interval
from nfn_cli.learning.any_classifier.left_out import BY_RUN, LeftOut
from nfn_cli.learning.metrics import Estimate, bootstrap, share
from nfn_cli.learning.splits import left_out_positions
from nfn_cli.nn.any_classifier.interval import AnyInterval

CROSS_FOLDS = 10


@dataclass(frozen=True)
class CoverageRow:
    """What an interval does on one population, or under one way on all.

    Attributes:
        way: what was left out.
        population: its name; empty for all of a way. There the coverage by run is the share of networks, and else the
            mean over populations.
        networks, runs: how many.
        coverage: share of measured accuracies inside, with its bootstrap interval over runs.
        width: median width of the intervals, cut to [0, 1].
        flagged: share of networks whose distance is more than 1.
        inside, outside: coverage among those that are not flagged, and those that are; None without any.
        width_outside: median width among the flagged; None without any.
        label_noise: median standard deviation of the measured accuracies themselves.
    """

    way: str
    population: str
    networks: int
    runs: int
    coverage: Estimate
    width: float
    flagged: float
    inside: Estimate | None
    outside: Estimate | None
    width_outside: float | None
    label_noise: float


def coverage_table(interval: AnyInterval, left_out: Sequence[LeftOut]) -> list[CoverageRow]:
    """Rows for every way: all of it, then each population, by name; held-out runs come first.

    The interval is taken as it is. If these networks set it, `crossed_coverage_table` is the fair measure.
    """
    return [row for own in _by_way(left_out) for row in _rows(own, _radius(interval, own))]


def crossed_coverage_table(
    left_out: Sequence[LeftOut],
    level: float = 0.9,
    *,
    spare: float = SPARE,
    on_interval: Callable[[], None] = lambda: None,
) -> list[CoverageRow]:
    """The rows of `coverage_table`, each network with an interval that was set without it.

    A population that was left out is tried with an interval that was set by the other populations: none of its runs
    counts, under no way. Held-out runs are tried by tenfold cross-validation.

    Args:
        level, spare: as in `set_interval`.
        on_interval: called after each interval that was set.

    Raises:
        DataError: too few networks remain to set an interval.
    """

    def radius(own: LeftOut) -> Tensor:
        radii = torch.ones(len(own), dtype=torch.float64)
        for positions in _tried_together(own):
            interval = AnyInterval()
            tried = own.select(positions)
            set_interval(interval, [other.without_runs(tried.runs) for other in left_out], level, spare=spare)
            radii[positions] = _radius(interval, tried)
            on_interval()
        return radii

    return [row for own in _by_way(left_out) for row in _rows(own, radius(own))]


def _tried_together(own: LeftOut) -> list[list[int]]:
    if own.way == BY_RUN:
        return [fold for fold in left_out_positions(own.runs, CROSS_FOLDS, seed=0) if fold]
    return [_of(own, name) for name in sorted(set(own.population))]


def _by_way(left_out: Sequence[LeftOut]) -> list[LeftOut]:
    return sorted((own for own in left_out if len(own)), key=lambda own: (own.way != BY_RUN, own.way))


def _of(own: LeftOut, population: str) -> list[int]:
    return [position for position, name in enumerate(own.population) if name == population]


def _radius(interval: AnyInterval, own: LeftOut) -> Tensor:
    return interval.radius(own.predicted, own.spread, own.distance, own.classes)


def _rows(own: LeftOut, radius: Tensor) -> list[CoverageRow]:
    names = sorted(set(own.population))
    rows = [_row(own, radius, "")]
    for name in names:
        chosen = _of(own, name)
        rows.append(_row(own.select(chosen), radius[chosen], name))
    return rows


def _row(own: LeftOut, radius: Tensor, population: str) -> CoverageRow:
    predicted, truth = own.predicted.cpu().double(), own.truth.cpu().double()
    low, high = (predicted - radius).clamp(0, 1), (predicted + radius).clamp(0, 1)
    covered, width, flagged = (low <= truth) & (truth <= high), high - low, own.distance.cpu() > 1

    def coverage(positions: list[int]) -> Estimate | None:
        if not positions:
            return None
        part = own.select(positions)
        weights = torch.ones(len(part)) if own.way == BY_RUN else even_weights(part)
        metric = partial(_weighted_share, own=weights)
        return bootstrap(metric, part.truth, covered[positions], part.runs)

    every = coverage(list(range(len(own))))
    assert every is not None
    outside = flagged.nonzero()[:, 0].tolist()
    return CoverageRow(
        way=own.way,
        population=population,
        networks=len(own),
        runs=len(set(own.runs)),
        coverage=every,
        width=float(width.median()),
        flagged=float(flagged.double().mean()),
        inside=coverage((~flagged).nonzero()[:, 0].tolist()),
        outside=coverage(outside),
        width_outside=float(width[outside].median()) if outside else None,
        label_noise=float(own.label_noise.median()),
    )


def _weighted_share(truth: Tensor, covered: Tensor, weights: Tensor | None, own: Tensor) -> Tensor:
    """The share of the weight that is covered, whatever a bootstrap draws."""
    return share(truth, covered, own if weights is None else weights * own)
