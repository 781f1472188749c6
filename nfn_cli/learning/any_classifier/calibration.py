"""Curves and intervals of a head for any classifier, from what models said of networks that their fits left out.

Networks that are run and networks that are not have each their own: of the second less is known, and errors are larger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.errors import DataError
from nfn_cli.learning.any_classifier.fits import Told
from nfn_cli.learning.any_classifier.folds import ARCHITECTURE, BY_RUN, Fold, ways_of
from nfn_cli.learning.any_classifier.interval import fewest_runs, set_interval
from nfn_cli.learning.any_classifier.left_out import LeftOut
from nfn_cli.learning.any_classifier.measured import Agreement, agreement, chosen
from nfn_cli.learning.any_classifier.report import LeftOutReport, left_out_report
from nfn_cli.learning.beta_calibration import fitted_curve
from nfn_cli.nn.any_classifier.interval import TEST_IMAGES, AnyInterval
from nfn_cli.nn.calibrated_accuracy import Calibration
from nfn_cli.nn.tasks.accuracy import AnyPredictions, any_predictions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

FoldsTold = Sequence[tuple[Fold, Told]]


@dataclass(frozen=True)
class CalibratedSort:
    """A curve for the logits of one sort of networks, run or not, and an interval, both set by `networks` networks
    whose runs were left out. If these are too few for the level, both are fresh, and the interval is everything."""

    curve: Calibration
    interval: AnyInterval
    networks: int


@dataclass(frozen=True)
class Calibrated:
    """Curve and interval for networks that are run, and for those that are not."""

    run: CalibratedSort
    unrun: CalibratedSort

    def predictions(self, told: Told, runs: Tensor, classes: Tensor) -> AnyPredictions:
        """Of what a model said of networks as they are.

        Args:
            runs: whether each is run, bool [n].
            classes: how many each tells apart [n].
        """
        answers = told.sort(run=True)
        run, unrun = (any_predictions(own.curve, own.interval, *answers, classes) for own in (self.run, self.unrun))
        return run.where(runs, unrun)

    def unrun_predictions(self, told: Told, classes: Tensor) -> AnyPredictions:
        """Of what a model said of networks as if it were not known how they are run."""
        return any_predictions(self.unrun.curve, self.unrun.interval, *told.sort(run=False), classes)

    def parts(self) -> Mapping[str, nn.Module]:
        """By the names that they have in a head's module."""
        return {
            "calibration": self.run.curve,
            "interval": self.run.interval,
            "unrun_calibration": self.unrun.curve,
            "unrun_interval": self.unrun.interval,
        }


def calibrated(networks: LabelledClassifiers, told: FoldsTold, usable: Collection[int], level: float) -> Calibrated:
    """Set curves and intervals.

    Networks that are run count as they are, and, where they can be read so, a second time among those that are not.

    Args:
        told: of every fit, the head's own among them, which answers for the calibration networks.
        usable: positions of the networks whose accuracies may be looked at.
        level: nominal coverage.

    Raises:
        DataError: too few networks of either sort for the level.
    """
    counted = torch.zeros(len(networks), dtype=torch.bool)
    counted[list(usable)] = True
    run = _sort(networks, told, counted & networks.statistics.runs, level, run=True)
    unrun = _sort(networks, told, counted & ~networks.unrun.runs, level, run=False)
    most, least = max(run.networks, unrun.networks), fewest_runs(level)
    if most < least:
        cause = f"{most} networks whose runs were left out, and a {100 * level:.0f} % interval takes {least}"
        raise DataError("the interval", cause, "give more labelled networks")
    return Calibrated(run, unrun)


def left_out_reports(
    networks: LabelledClassifiers, told: FoldsTold, usable: Collection[int], level: float
) -> tuple[LeftOutReport, ...]:
    """What each fit that left out a population does on it, with curves and intervals that were set without it.

    Args:
        usable: as in `calibrated`; all networks of a population are measured on.
    """
    by_way: dict[str, list[_Asked]] = {}
    unrun_by_way: dict[str, list[_Asked]] = {}
    for fold, own in told:
        if fold.way in ("", BY_RUN):
            continue
        asked, absent = list(fold.asked), set(fold.asked)
        rest = calibrated(networks, told, [position for position in usable if position not in absent], level)
        classes = networks.classes[asked]
        said = rest.predictions(own, networks.statistics.runs[asked], classes)
        by_way.setdefault(fold.way, []).append(_Asked(fold.value, asked, said))
        places = networks.has_unrun[asked].nonzero()[:, 0].tolist()
        if len(own.unrun_logits):
            unrun = chosen(rest.unrun_predictions(own, classes), places)
            unrun_by_way.setdefault(fold.way, []).append(_Asked(fold.value, [asked[place] for place in places], unrun))
    return tuple(
        left_out_report(way, found, _agreements(networks, unrun_by_way.get(way, [])))
        for way, own in by_way.items()
        if (found := _agreements(networks, own))
    )


@dataclass(frozen=True)
class _Asked:
    """Predictions for the networks at some positions, which are those of one value of a column, or of several."""

    value: str
    positions: list[int]
    said: AnyPredictions


def _agreements(networks: LabelledClassifiers, found: Sequence[_Asked]) -> list[Agreement]:
    """One for each value that was left out; one for all where several are left out together."""
    named = [own for own in found if own.value]
    together = [own for own in found if not own.value]
    if together:
        positions = [position for own in together for position in own.positions]
        columns = zip(*(vars(own.said).values() for own in together), strict=True)
        said = AnyPredictions(*(torch.cat(list(column)) for column in columns))
        named.append(_Asked("each in turn", positions, said))
    return [
        agreement(networks.select(own.positions), own.said, own.value)
        for own in named
        if len(networks.targets[own.positions].unique()) > 1
    ]


def _sort(
    networks: LabelledClassifiers, told: FoldsTold, counted: Tensor, level: float, *, run: bool
) -> CalibratedSort:
    """Curve and interval of one sort of networks, from those that count, bool [N]."""
    by_way: dict[str, list[tuple[Fold, Told]]] = {}
    for fold, own in told:
        by_way.setdefault(fold.way or BY_RUN, []).append((fold, own))
    answers = {way: _answers(found, counted, run=run) for way, found in by_way.items()}
    curve, interval = Calibration(), AnyInterval()
    known = answers[BY_RUN]
    if len(known.positions) >= fewest_runs(level):
        curve.curve.copy_(fitted_curve(known.logits, networks.targets[known.positions]))
        left_out = [_left_out(networks, way, own, curve) for way, own in answers.items() if len(own.positions)]
        set_interval(interval, left_out, level)
    return CalibratedSort(curve, interval, len(known.positions))


@dataclass(frozen=True)
class _Answers:
    """What was said of networks of one sort that were left out in one way, and their positions; [n] each."""

    positions: Tensor
    logits: Tensor
    spread: Tensor
    distance: Tensor


def _answers(told: FoldsTold, counted: Tensor, *, run: bool) -> _Answers:
    columns: list[tuple[Tensor, ...]] = []
    for fold, own in told:
        asked = torch.tensor(fold.asked, dtype=torch.int64)
        places = counted[asked]
        answers = own.sort(run=run)
        if len(answers[0]):  # else it was not asked about networks of this sort
            columns.append((asked[places], *(part[places] for part in answers)))
    empty = torch.zeros(0)
    columns = columns or [(empty.long(), empty, empty, empty)]
    return _Answers(*(torch.cat(column) for column in zip(*columns, strict=True)))


def _left_out(networks: LabelledClassifiers, way: str, own: _Answers, curve: Calibration) -> LeftOut:
    positions = own.positions.tolist()
    truth = networks.targets[positions]
    column = networks.column(_population(networks) if way == BY_RUN else way)
    return LeftOut(
        way=way,
        population=tuple(column[position] for position in positions),
        runs=tuple(networks.runs[position] for position in positions),
        predicted=curve.accuracy(own.logits),
        spread=own.spread.double(),
        distance=own.distance.double(),
        classes=networks.classes[positions],
        truth=truth,
        label_noise=(truth * (1 - truth) / TEST_IMAGES).sqrt(),
    )


def _population(networks: LabelledClassifiers) -> str:
    """The column by which the runs that were left out belong to populations."""
    return next(iter(ways_of(networks, range(len(networks)))), ARCHITECTURE)
