"""Set the interval of a head for any classifier by what models said of networks that they had not been fitted to.

A user's network may be of a task, an architecture or a trainer that no fit has seen. Errors of ordinary
cross-validation, where every population is known, are too small for it. So an interval is set by errors of several ways
of leaving out: by run, by task, by family, by trainer. What tells them apart must be known of a new network too: its
distance from what was fitted, and how far the members disagree. It is done in three steps.

1. A scale, see `nfn_cli.nn.any_classifier.interval`: the quantile of the absolute error, as a sum of positive terms in
   the predicted accuracy, the disagreement and the distance (quantile regression, Koenker and Bassett 1978, with
   coefficients above 0). Runs weigh as much as all ways of leaving out populations together; among these every way, and
   in a way every population, weighs the same.
2. A factor for held-out runs: the conformal quantile of error over scale (Vovk et al. 2005; locally weighted, Lei et
   al. 2018, section 5.2; with a fitted quantile, Romano, Patterson and Candès 2019). Scales are fitted crosswise by
   run, so no network is judged by a scale that it helped to fit (cross-conformal, Vovk 2015; CV+, Barber et al. 2021).
3. A stretch that grows from 1 near to its full size far away: the smallest that gives left-out populations out there
   their coverage, the level on average, each population with the same weight (pooled distributions of Dunn, Wasserman
   and Ramdas 2022, arXiv 1809.07441), and the level less 7 points and a standard error on each of 40 or more
   networks. If that is not enough, because left-out populations lie as near as held-out runs, the whole interval is
   widened. Both are bounded: held-out runs get at most 2 points more than the level. If coverage is still missing, it
   means that distance and disagreement do not show how strange those networks are, and the table of coverages says so.

There is no guarantee. Runs are exchangeable, but the few checkpoints of one are not independent, and the six
coefficients of the scale are fitted to all networks at last, not crosswise. For a population left out, the average over
populations like these is all that theory promises. So coverage is measured, each time by an interval that was set
without the population (`crossed_coverage_table`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.any_classifier.left_out import BY_RUN, LeftOut
from nfn_cli.learning.any_classifier.quantile_regression import quantile_coefficients
from nfn_cli.learning.splits import left_out_positions
from nfn_cli.nn.any_classifier.interval import TERMS, TEST_IMAGES, AnyInterval, label_radius, risen, scale_terms

# Scales are fitted crosswise over as many folds of runs.
FOLDS = 5
# How far the coverage of one left-out population may lie below the level, and that of held-out runs above it.
LACKING = 0.07
SPARE = 0.02
# A population of fewer networks has no quantile of its own; it counts in the mean.
FEWEST = 40
_MOST_STRETCH = 10.0
_NARROWEST = 1e-4
_NEGLIGIBLE = 1e-6


def set_interval(
    interval: AnyInterval, left_out: Sequence[LeftOut], level: float = 0.9, *, spare: float = SPARE
) -> None:
    """Set an interval, in place, by answers on networks that were left out.

    The order of ways and of networks does not matter. The same answers give the same interval.

    Args:
        left_out: ways of leaving out, one of them "run".
        level: nominal coverage.
        spare: how far the coverage of held-out runs may rise above it for the sake of left-out populations.

    Raises:
        DataError: no networks left out by run, or too few for the level.
    """
    ways = [_ordered(own) for own in sorted(left_out, key=lambda own: own.way) if len(own)]
    runs = [own for own in ways if own.way == BY_RUN]
    others = [own for own in ways if own.way != BY_RUN]
    least = fewest_runs(level)
    known = sum(len(own) for own in runs)
    if known < least:
        cause = f"{known} networks whose runs were left out, and a {100 * level:.0f} % interval takes {least}"
        raise DataError("the interval", cause, "give more labelled networks")
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))
    label = torch.tensor([z, TEST_IMAGES], dtype=torch.float64)

    terms = _fitted_terms([*runs, *others], level)
    near, far = _crossed([*runs, *others], terms, level, label)
    ramp = _ramp(near, far)
    # An interval that the labels' noise alone would cover has ratios of 0.
    factor = max(float(_quantile(near.ratios, level, near.weights)), _NARROWEST)
    near, far = near.over(factor), far.over(factor)
    stretch = _stretch(near, far, ramp, level, spare)
    near, far = (own.over(1 + (stretch - 1) * risen(ramp, own.distance)) for own in (near, far))
    widened = _bounded(
        far.needed(far.ratios, level), float(_quantile(near.ratios, level + spare, near.weights)), math.inf
    )
    # The network at the rank must not fall out when the factor becomes a float32.
    factor *= widened * (1 + 1e-6)
    for buffer, values in (
        (interval.terms, terms),
        (interval.factors, torch.tensor([factor, stretch], dtype=torch.float64)),
        (interval.ramp, ramp),
        (interval.label, label),
    ):
        buffer.copy_(values)


def fewest_runs(level: float) -> int:
    """How many networks whose runs were left out an interval of a level takes.

    >>> fewest_runs(0.9)
    9
    """
    return math.ceil(level / (1 - level) - 1e-9)


@dataclass(frozen=True)
class _Scores:
    """Errors over what the interval is so far, of networks under a way or several.

    Attributes:
        ratios: absolute errors over half-widths [n]; 0 where the label's own noise covers it.
        distance: [n].
        weights: what each network counts [n].
        populations: positions of each left-out population of enough networks.
    """

    ratios: Tensor
    distance: Tensor
    weights: Tensor
    populations: Sequence[Tensor] = ()

    def over(self, factor: float | Tensor) -> _Scores:
        """With an interval wider by a factor, a number or one for each network."""
        return _Scores(self.ratios / factor, self.distance, self.weights, self.populations)

    def where(self, chosen: Tensor) -> _Scores:
        """Those of some networks; populations of which enough are left."""
        place = chosen.cumsum(0) - 1
        parts = [place[own[chosen[own]]] for own in self.populations]
        enough = [own for own in parts if len(own) >= FEWEST]
        return _Scores(self.ratios[chosen], self.distance[chosen], self.weights[chosen], enough)

    def needed(self, values: Tensor, level: float) -> float:
        """The smallest number that reaches the values of `level` of the networks, and of nearly as many in each
        population."""
        if not len(values):
            return 1.0
        each = [
            float(_quantile(values[own], level - LACKING - _error(level, len(own)), None)) for own in self.populations
        ]
        return max([float(_quantile(values, level, self.weights)), *each])


def _crossed(ways: Sequence[LeftOut], whole: Tensor, level: float, label: Tensor) -> tuple[_Scores, _Scores]:
    """Scores of networks left out by run, and of those left out with their population.

    Each is over a scale that was fitted without the network's run; of a single run, over the scale `whole` of all.
    """
    names = sorted({run for own in ways for run in own.runs})
    ratios = [_ratios(own, whole, label) for own in ways]
    for fold in left_out_positions(names, FOLDS, seed=0):
        gone = {names[position] for position in fold}
        rest = [part for part in (own.without_runs(gone) for own in ways) if len(part)]
        if not gone or not rest:
            continue
        terms = _fitted_terms(rest, level)
        for own, found in zip(ways, ratios, strict=True):
            inside = torch.tensor([run in gone for run in own.runs])
            found[inside] = _ratios(own, terms, label)[inside]
    scored = list(zip(ways, ratios, strict=True))
    return (
        _scores([(own, found) for own, found in scored if own.way == BY_RUN]),
        _scores([(own, found) for own, found in scored if own.way != BY_RUN]),
    )


def _scores(scored: Sequence[tuple[LeftOut, Tensor]]) -> _Scores:
    empty = torch.zeros(0, dtype=torch.float64)
    populations: list[Tensor] = []
    start = 0
    for own, _ in scored:
        for name, count in sorted(Counter(own.population).items()):
            if own.way != BY_RUN and count >= FEWEST:
                inside = torch.tensor([other == name for other in own.population])
                populations.append(start + inside.nonzero()[:, 0])
        start += len(own)
    weights = [_alike(own) if own.way == BY_RUN else even_weights(own) for own, _ in scored]
    return _Scores(
        torch.cat([empty, *(found for _, found in scored)]),
        torch.cat([empty, *(own.distance.double() for own, _ in scored)]),
        torch.cat([empty, *weights]),
        populations,
    )


def _alike(own: LeftOut) -> Tensor:
    return torch.ones(len(own), dtype=torch.float64)


def even_weights(own: LeftOut) -> Tensor:
    """The same weight for every population of a way, and 1 in all; float64 [n]."""
    counts = Counter(own.population)
    return torch.tensor([1 / (len(counts) * counts[name]) for name in own.population], dtype=torch.float64)


def _ratios(own: LeftOut, terms: Tensor, label: Tensor) -> Tensor:
    floor = label_radius(own.predicted.double(), *label)
    return own.residuals / (_features(own) @ terms) * (own.residuals > floor)


def _features(own: LeftOut) -> Tensor:
    """Terms of the scale, beyond the limit in proportion to the distance [n, 6]."""
    beyond = own.distance.double().clamp_min(1)
    return scale_terms(own.predicted, own.spread, own.distance, own.classes) * beyond[:, None]


def _fitted_terms(ways: Sequence[LeftOut], level: float) -> Tensor:
    """Coefficients of the scale [6]: quantile regression of the absolute errors."""
    residuals = torch.cat([own.residuals for own in ways])
    if float(residuals.mean()) < _NARROWEST:
        return torch.tensor([_NARROWEST, *[0.0] * (TERMS - 1)], dtype=torch.float64)
    others = sum(own.way != BY_RUN for own in ways)
    weights = [_alike(own) / len(own) if own.way == BY_RUN else even_weights(own) / others for own in ways]
    features = torch.cat([_features(own) for own in ways])
    # One member never disagrees: what is 0 everywhere has no coefficient.
    seen = (features > 0).any(0)
    terms = torch.zeros(TERMS, dtype=torch.float64)
    terms[seen] = quantile_coefficients(features[:, seen], residuals, torch.cat(weights), level)
    terms = torch.where(terms > _NEGLIGIBLE, terms, torch.zeros_like(terms))
    terms[0] = terms[0].clamp_min(_NARROWEST)
    return terms


def _ramp(near: _Scores, far: _Scores) -> Tensor:
    """From the median distance of held-out runs to where most left-out networks lie [2]."""
    start = float(near.distance.median())
    end = float(near.distance.quantile(0.9))
    if len(far.distance):
        end = max(end, float(_quantile(far.distance, 0.75, far.weights)))
    return torch.tensor([start, end], dtype=torch.float64)


def _stretch(near: _Scores, far: _Scores, ramp: Tensor, level: float, spare: float) -> float:
    """How much wider the interval is far away than near: what left-out networks in the upper half of the ramp need.

    Those in the lower half it hardly helps, and would be overstretched for them.
    """

    def wanted(own: _Scores) -> Tensor:
        excess = (own.ratios - 1).clamp_min(0)
        return 1 + torch.where(excess > 0, excess / risen(ramp, own.distance), torch.zeros_like(excess))

    most = float(_quantile(wanted(near), level + spare, near.weights))
    high = far.where(risen(ramp, far.distance) >= 0.5)
    return _bounded(high.needed(wanted(high), level), most, _MOST_STRETCH)


def _error(level: float, count: int) -> float:
    """Standard error of a coverage: the worst of many small populations is often so by chance alone."""
    return math.sqrt(level * (1 - level) / count)


def _bounded(needed: float, spare: float, most: float) -> float:
    """As much as is needed, as far as there is to spare; at least 1."""
    return max(1.0, min(needed, spare, most))


def _quantile(values: Tensor, level: float, weights: Tensor | None) -> Tensor:
    """The conformal quantile: the smallest value that reaches `level` of the weight and of one network more.

    The largest value where there are too few.
    """
    weights = torch.ones_like(values) if weights is None else weights
    order = values.argsort(stable=True)
    reached = (weights / weights.mean())[order].cumsum(0)
    rank = int(torch.searchsorted(reached, (len(values) + 1) * level - 1e-9))
    return values[order[min(rank, len(values) - 1)]]


def _ordered(own: LeftOut) -> LeftOut:
    """In an order that follows from what is known of each network, so that sums round alike."""
    columns = [own.predicted, own.truth, own.spread, own.distance, own.classes]
    keys = list(zip(own.runs, own.population, *(column.tolist() for column in columns), strict=True))
    return own.select(sorted(range(len(own)), key=keys.__getitem__))
