"""An interval that has its coverage on several populations: the residuals of all set it, and it is measured on each.

The members of a head, its curve and its detector stay as they are, and so do its predictions and its flags. Or the
first members alone stay: the detector looks at the first one, so the flags stay even then, and only predictions move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.errors import DataError, HeadError
from nfn_cli.learning.batches import predict_all
from nfn_cli.learning.conformal import interval_radius, local_radii
from nfn_cli.learning.head_destination import require_head_destination
from nfn_cli.learning.interval_card import with_interval
from nfn_cli.learning.metrics import Estimate, bootstrap, share
from nfn_cli.learning.splits import left_out_positions
from nfn_cli.nn import Head, load_head
from nfn_cli.nn.calibrated_accuracy import along
from nfn_cli.nn.choose import folder_of_head
from nfn_cli.nn.head_folder import CARD_FILE
from nfn_cli.zoo import read_networks, read_record

FOLDS = 10
_TINY = 1e-12


@dataclass(frozen=True)
class IntervalSettings:
    """How to set an interval.

    Attributes:
        seed: deals runs into folds.
        column, run_column, activation: as in `read_networks`.
        members: of the head that stay, the first ones; None keeps all.
    """

    seed: int = 0
    column: str = "test_accuracy"
    run_column: str = "run"
    activation: str | None = None
    members: int | None = None


@dataclass(frozen=True)
class Covered:
    """Share of true accuracies inside their intervals, and the mean width of these, cut to [0, 1]."""

    coverage: Estimate
    width: float

    def __str__(self) -> str:
        return f"{self.coverage}, {self.width:.4f} wide"


@dataclass(frozen=True)
class PopulationReport:
    """What an interval does on one population.

    Attributes:
        name, networks, runs: of the population.
        flagged: the share that the head finds out of distribution.
        before: with the interval that the head had.
        taken_in: with the new one, by tenfold cross-validation: an interval set by all populations but for a tenth of
            the runs is tried on that tenth.
        left_out: with one set by the other populations alone; None where there is no other.
    """

    name: str
    networks: int
    runs: int
    flagged: Estimate
    before: Covered
    taken_in: Covered
    left_out: Covered | None


@dataclass(frozen=True)
class IntervalReport:
    """A head's new interval at its nominal `level`: half-widths `radii` at predicted accuracies `knots`."""

    head: str
    level: float
    knots: tuple[float, ...]
    radii: tuple[float, ...]
    populations: tuple[PopulationReport, ...] = ()


def calibrate_head(
    name: str,
    populations: Mapping[str, Path],
    out: Path,
    settings: IntervalSettings | None = None,
    *,
    device: str = "cpu",
    on_population: Callable[[str], None] = lambda name: None,
) -> IntervalReport:
    """Set the interval of a head by labelled networks of one or several populations, and write the head to `out`.

    Args:
        name: a shipped head or a head's folder; its members (or the first ones), curve and detector are kept.
        populations: folders of labelled networks that it was not fitted to, by their names.
        out: the folder of the new head, which may be that of the old one.
        on_population: called with the name of each population before it is read.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data, or too few networks.
    """
    settings = settings or IntervalSettings()
    head = load_head(name, device, task="predict-accuracy")
    if head.config.accepted.is_any:
        remedy = "fit it again with `nfn train`, to these networks as well"
        raise HeadError(name, "the interval of a head for any classifier is set when it is fitted", remedy)
    if settings.members is not None:
        head = first_members(head, settings.members)
    require_head_destination(out)
    answered = []
    for own, folder in populations.items():
        on_population(own)
        answered.append(_answered(head, own, folder, settings))
    total = sum(len(own.truth) for own in answered)
    level = head.config.details.level
    least = round(1 / (1 - level))
    if total < least:
        cause = f"only {total} networks, and a {level:.0%} interval takes {least}"
        raise DataError(next(iter(populations.values())), cause, "give more labelled networks")
    knots, radii = _interval(answered, level)
    reports = _reports(answered, head, settings.seed)
    head.model.calibration.knots.copy_(knots)
    head.model.calibration.radii.copy_(radii)
    # The record is short: every call of a command reads it.
    folders = {own: folder.resolve().name for own, folder in populations.items()}
    interval = {"populations": folders, "folds": FOLDS, **asdict(settings)}
    if settings.members is None:  # a later interval still is that of the members that stayed
        interval.pop("members")
    config = replace(head.config, fitted={**head.config.fitted, "interval": interval})
    head = Head(out.resolve().name, config, head.model)
    report = IntervalReport(head.name, level, tuple(knots.tolist()), tuple(radii.tolist()), tuple(reports))
    zoos = {own: read_record(folder) for own, folder in populations.items()}
    head.save(out, with_interval(_card(name), name, head, reports, zoos))
    return report


def first_members(head: Head, count: int) -> Head:
    """The same head with its first members alone.

    Raises:
        HeadError: it has fewer.
    """
    if not 1 <= count <= head.config.members:
        raise HeadError(
            head.name, f"has {head.config.members} members, not {count}", "give --members no more than that"
        )
    head.model.members = head.model.members[:count]
    return Head(head.name, replace(head.config, members=count), head.model)


@dataclass(frozen=True)
class _Answered:
    """A population and what the head says of it, [networks] each."""

    name: str
    runs: tuple[str, ...]
    truth: Tensor
    predicted: Tensor
    flagged: Tensor

    @property
    def residuals(self) -> Tensor:
        return (self.truth - self.predicted).abs()

    def without(self, left_out: Sequence[int]) -> _Answered:
        """The networks at other positions than these."""
        absent = set(left_out)
        rest = [position for position in range(len(self.runs)) if position not in absent]
        runs = tuple(self.runs[position] for position in rest)
        return _Answered(self.name, runs, self.truth[rest], self.predicted[rest], self.flagged[rest])


def _answered(head: Head, name: str, folder: Path, settings: IntervalSettings) -> _Answered:
    networks = read_networks(
        folder,
        column=settings.column,
        run_column=settings.run_column,
        unique=True,
        activation=settings.activation,
        default_activation=head.config.accepted.activation,
    )
    reason = head.config.accepted.mismatch(networks.point.architecture)
    if reason:
        raise DataError(folder, reason, "give networks that the head reads")
    said = predict_all(head, networks.point, [str(folder / file) for file in networks.files], "accuracy")
    return _Answered(name, networks.runs, networks.targets, said.accuracy, ~said.in_distribution)


Interval = tuple[Tensor, Tensor]


def _interval(populations: Sequence[_Answered], level: float) -> Interval:
    """Knots and half-widths [5] that hold on each population, see `nfn_cli.learning.conformal`."""
    predicted = torch.cat([own.predicted for own in populations])
    residuals = torch.cat([own.residuals for own in populations])
    weights = [torch.full((len(own.truth),), 1 / len(own.truth), dtype=torch.float64) for own in populations]
    knots, radii = local_radii(predicted, residuals, level, torch.cat(weights))
    # A population of too few networks for its quantile gives 1, and stretches nothing.
    stretches = [
        interval_radius(own.residuals / along(knots, radii, own.predicted).clamp_min(_TINY), level)
        for own in populations
    ]
    return knots, radii * max(1.0, *stretches)


def _reports(populations: Sequence[_Answered], head: Head, seed: int) -> list[PopulationReport]:
    level, calibration = head.config.details.level, head.model.calibration
    had = (calibration.knots.cpu().double(), calibration.radii.cpu().double())
    folds = {own.name: left_out_positions(own.runs, FOLDS, seed) for own in populations}
    intervals = []
    for number in range(FOLDS):
        # A population of fewer runs than folds has some that are empty.
        rest = [own.without(folds[own.name][number]) for own in populations]
        intervals.append(_interval([own for own in rest if len(own.truth)], level))
    reports = []
    for own in populations:
        everything = list(range(len(own.truth)))
        others = [other for other in populations if other is not own]
        flagged = bootstrap(share, own.truth, own.flagged, own.runs)
        before = _covered(own, [(everything, had)])
        taken_in = _covered(own, list(zip(folds[own.name], intervals, strict=True)))
        left_out = _covered(own, [(everything, _interval(others, level))]) if others else None
        counts = len(own.truth), len(set(own.runs))
        reports.append(PopulationReport(own.name, *counts, flagged, before, taken_in, left_out))
    return reports


def _covered(population: _Answered, parts: Sequence[tuple[list[int], Interval]]) -> Covered:
    """How often, each of the parts of a population with its interval."""
    radii = torch.zeros_like(population.predicted)
    for positions, (knots, heights) in parts:
        radii[positions] = along(knots, heights, population.predicted[positions])
    low, high = (population.predicted - radii).clamp(0, 1), (population.predicted + radii).clamp(0, 1)
    inside = (low <= population.truth) & (population.truth <= high)
    return Covered(bootstrap(share, population.truth, inside, population.runs), float((high - low).mean()))


def _card(name: str) -> str:
    """The card of the head as it was; empty if it has none."""
    try:
        return (folder_of_head(name) / CARD_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
