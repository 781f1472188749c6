"""Curve and interval of a head for any classifier, from what models said of networks that their fits left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.learning.any_classifier.fits import Told
from nfn_cli.learning.any_classifier.folds import ARCHITECTURE, BY_RUN, Fold, ways_of
from nfn_cli.learning.any_classifier.interval import set_interval
from nfn_cli.learning.any_classifier.left_out import LeftOut
from nfn_cli.learning.any_classifier.measured import Agreement, agreement
from nfn_cli.learning.any_classifier.report import LeftOutReport, left_out_report
from nfn_cli.learning.beta_calibration import fitted_curve
from nfn_cli.nn.any_classifier.interval import TEST_IMAGES, AnyInterval
from nfn_cli.nn.calibrated_accuracy import Calibration
from nfn_cli.nn.tasks.accuracy import AnyPredictions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

FoldsTold = Sequence[tuple[Fold, Told]]


@dataclass(frozen=True)
class Calibrated:
    """A curve for the logits, and an interval."""

    curve: Calibration
    interval: AnyInterval

    def predictions(self, told: Told, classes: Tensor) -> AnyPredictions:
        """Of what a model said of networks, with how many classes each tells apart [n]."""
        accuracy = self.curve.accuracy(told.logits)
        distance = told.distance.double()
        radius = self.interval.radius(accuracy, told.spread, distance, classes)
        return AnyPredictions(
            accuracy=accuracy,
            low=(accuracy - radius).clamp(0, 1),
            high=(accuracy + radius).clamp(0, 1),
            in_distribution=distance <= 1,
            distance=distance,
        )


def calibrated(networks: LabelledClassifiers, told: FoldsTold, usable: Collection[int], level: float) -> Calibrated:
    """Set a curve and an interval.

    Args:
        told: of every fit, the head's own among them, which answers for the calibration networks.
        usable: positions of the networks whose accuracies may be looked at.
        level: nominal coverage.

    Raises:
        DataError: too few networks for the level.
    """
    curve = Calibration()
    by_way: dict[str, list[tuple[int, Told, int]]] = {}
    for fold, own in told:
        places = [(position, own, place) for place, position in enumerate(fold.asked) if position in usable]
        by_way.setdefault(fold.way or BY_RUN, []).extend(places)
    logits = torch.stack([own.logits[place] for _, own, place in by_way[BY_RUN]])
    truth = networks.targets[[position for position, _, _ in by_way[BY_RUN]]]
    curve.curve.copy_(fitted_curve(logits, truth))
    interval = AnyInterval()
    set_interval(interval, [_left_out(networks, way, found, curve) for way, found in by_way.items() if found], level)
    return Calibrated(curve, interval)


def left_out_reports(
    networks: LabelledClassifiers, told: FoldsTold, usable: Collection[int], level: float
) -> tuple[LeftOutReport, ...]:
    """What each fit that left out a population does on it, with a curve and an interval that were set without it.

    Args:
        usable: as in `calibrated`; all networks of a population are measured on.
    """
    by_way: dict[str, list[tuple[Fold, AnyPredictions]]] = {}
    for fold, own in told:
        if fold.way in ("", BY_RUN):
            continue
        absent = set(fold.asked)
        rest = calibrated(networks, told, [position for position in usable if position not in absent], level)
        said = rest.predictions(own, networks.classes[list(fold.asked)])
        by_way.setdefault(fold.way, []).append((fold, said))
    return tuple(left_out_report(way, found) for way, own in by_way.items() if (found := _agreements(networks, own)))


def _agreements(networks: LabelledClassifiers, found: Sequence[tuple[Fold, AnyPredictions]]) -> list[Agreement]:
    """One for each value that was left out; one for all where several are left out together."""
    named = [(fold.value, list(fold.asked), said) for fold, said in found if fold.value]
    together = [(fold, said) for fold, said in found if not fold.value]
    if together:
        positions = [position for fold, _ in together for position in fold.asked]
        columns = zip(*(vars(said).values() for _, said in together), strict=True)
        named.append(("each in turn", positions, AnyPredictions(*(torch.cat(list(column)) for column in columns))))
    return [
        agreement(networks.select(positions), said, value)
        for value, positions, said in named
        if len(networks.targets[positions].unique()) > 1
    ]


def _left_out(
    networks: LabelledClassifiers, way: str, found: Sequence[tuple[int, Told, int]], curve: Calibration
) -> LeftOut:
    positions = [position for position, _, _ in found]
    logits, spread, distance = (
        torch.stack([getattr(own, name)[place] for _, own, place in found]) for name in ("logits", "spread", "distance")
    )
    truth = networks.targets[positions]
    column = networks.column(_population(networks) if way == BY_RUN else way)
    return LeftOut(
        way=way,
        population=tuple(column[position] for position in positions),
        runs=tuple(networks.runs[position] for position in positions),
        predicted=curve.accuracy(logits),
        spread=spread.double(),
        distance=distance.double(),
        classes=networks.classes[positions],
        truth=truth,
        label_noise=(truth * (1 - truth) / TEST_IMAGES).sqrt(),
    )


def _population(networks: LabelledClassifiers) -> str:
    """The column by which the runs that were left out belong to populations."""
    return next(iter(ways_of(networks, range(len(networks)))), ARCHITECTURE)
