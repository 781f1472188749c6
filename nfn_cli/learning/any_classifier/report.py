"""What a head for any classifier is worth: on test runs, and on whole populations that a fit left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nfn_cli.architectures import Stated
from nfn_cli.learning.any_classifier.drift import Drift, drift_of
from nfn_cli.learning.any_classifier.measured import Agreement, WithinTasks, agreement, by_column, within_tasks
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.nn import Head
from nfn_cli.nn.tasks.accuracy import Predictions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

UNRUN = "chains among them, as if it were not known how they are run"
_SEEDS_APART = 1_000_003


@dataclass(frozen=True)
class LeftOutReport:
    """Populations of one kind, each left out of a fit of its own, which then predicts its networks. The interval is set
    without them too.

    Attributes:
        way: what was left out, such as `task`.
        populations: each with what the fit without it does on it.
        mean_tau, mean_coverage, mean_flagged: over populations, each with the same weight.
        lowest_coverage: of a population.
        unrun: of the networks among them that are run and can be read as if it were not known how, read so; None where
            there are none.
    """

    way: str
    populations: tuple[Agreement, ...]
    mean_tau: float
    mean_coverage: float
    mean_flagged: float
    lowest_coverage: float
    unrun: LeftOutReport | None = None


@dataclass(frozen=True)
class AnyReport:
    """A head for any classifier, measured on networks of runs that it was not fitted to.

    Attributes:
        head, level: its name, and the nominal coverage of its interval.
        architectures: among the networks.
        known_forward: share of the networks of which it is known how they are run.
        overall: on all networks.
        within_tasks: mean over tasks of τ within a task; None where no task has enough networks.
        by_task, by_family: where the tables say them.
        drift: under random elements of the networks' own groups.
        scale_range: of these.
        others: the networks that are run and can be read as if it were not known how, read so; then networks of other
            populations that were given, by name.
        left_out: what was measured when the head was fitted; empty in an evaluation.
    """

    head: str
    level: float
    architectures: int
    known_forward: float
    overall: Agreement
    within_tasks: WithinTasks | None
    by_task: tuple[Agreement, ...]
    by_family: tuple[Agreement, ...]
    drift: Drift
    scale_range: tuple[float, float]
    others: tuple[Agreement, ...] = ()
    left_out: tuple[LeftOutReport, ...] = ()

    @property
    def networks(self) -> int:
        """That were measured on."""
        return self.overall.networks

    @property
    def runs(self) -> int:
        """Of these networks."""
        return self.overall.runs

    def figures(self) -> list[tuple[str, str, str]]:
        """Names of figures, their values, and their ceilings."""
        own = self.overall
        within = self.within_tasks
        rows = [("Kendall's τ", str(own.tau), str(own.ceiling or ""))]
        if within is not None:
            name = f"τ within a task, mean over {within.tasks} tasks"
            rows.append((name, str(within.tau), str(within.ceiling or "")))
        return [
            *rows,
            ("R²", str(own.r_squared), ""),
            ("mean absolute error", str(own.mean_absolute_error), ""),
            ("error, of the best constant's", str(own.against_constant), ""),
            (f"coverage of the {100 * self.level:.0f} % interval", str(own.coverage), ""),
            ("coverage where not flagged", str(own.inside or ""), ""),
            ("median width of the interval", f"{own.width:.3f}", ""),
            ("out of distribution", str(own.flagged), ""),
        ]


AGREEMENT_COLUMNS = ("networks", "τ", "ceiling", "error", "coverage", "width", "flagged")


def agreement_row(own: Agreement) -> tuple[str, ...]:
    """Cells for a population: its name, and its figures under `AGREEMENT_COLUMNS`."""
    ceiling = "" if own.ceiling is None else f"{own.ceiling.value:.3f}"
    return (
        own.name,
        f"{own.networks:,}",
        str(own.tau),
        ceiling,
        f"{own.mean_absolute_error.value:.3f}",
        str(own.coverage),
        f"{own.width:.3f}",
        f"{own.flagged.value:.1%}",
    )


def measure_any(
    head: Head,
    networks: LabelledClassifiers,
    settings: EvaluateSettings | None = None,
    others: Mapping[str, LabelledClassifiers] | None = None,
    *,
    moved: LabelledClassifiers | None = None,
    workers: int = 1,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AnyReport:
    """Measure a loaded head.

    Args:
        settings: `scale_range`, `samples`, `seed` and `activation` of these count.
        others: networks of other populations by their names.
        moved: networks that are moved along their orbits, whose files are there; by default those that are measured.
        workers: processes that move networks, at most.
        on_stage: called with what comes next.

    Raises:
        DataError: a process was killed.
    """
    settings = settings or EvaluateSettings()
    on_stage("predicting")
    said: Predictions = head.predict(networks.statistics)
    on_stage("bootstrap")
    overall = agreement(networks, said)
    within = within_tasks(networks, said.accuracy)
    moving = networks if moved is None else moved
    before = said if moved is None else head.predict(moved.statistics)
    drifts = []
    for sample in range(settings.samples):
        on_stage("predicting transformed networks")
        drifts.append(
            drift_of(
                head.predict,
                moving.places,
                before,
                stated=Stated(activation=settings.activation),
                scale_range=settings.scale_range,
                seed=settings.seed + _SEEDS_APART * sample,
                workers=workers,
                by_labels=head.config.accepted.by_labels,
            )
        )
    return AnyReport(
        head=head.name,
        level=head.config.details.level,
        architectures=len(set(networks.architectures)),
        known_forward=networks.statistics.runs.double().mean().item(),
        overall=overall,
        within_tasks=within,
        by_task=by_column(networks, said, "task"),
        by_family=by_column(networks, said, "family"),
        drift=_largest(drifts),
        scale_range=settings.scale_range,
        others=tuple(_others(head, networks, others or {})),
    )


def _others(
    head: Head, networks: LabelledClassifiers, others: Mapping[str, LabelledClassifiers]
) -> Iterator[Agreement]:
    chains = networks.select(networks.has_unrun.nonzero()[:, 0].tolist())
    if len(chains.targets.unique()) > 1:
        yield agreement(chains, head.predict(chains.unrun), UNRUN)
    for name, own in others.items():
        yield agreement(own, head.predict(own.statistics), name)


def left_out_report(way: str, populations: Sequence[Agreement], unrun: Sequence[Agreement] = ()) -> LeftOutReport:
    """The report of populations that were left out one by one; at least one.

    Args:
        unrun: of the networks that can be read as if it were not known how they are run, read so.
    """

    def mean(values: Sequence[float]) -> float:
        known = [value for value in values if value == value]
        return sum(known) / len(known) if known else float("nan")

    return LeftOutReport(
        way=way,
        populations=tuple(populations),
        mean_tau=mean([own.tau.value for own in populations]),
        mean_coverage=mean([own.coverage.value for own in populations]),
        mean_flagged=mean([own.flagged.value for own in populations]),
        lowest_coverage=min(own.coverage.value for own in populations),
        unrun=left_out_report(way, unrun) if unrun else None,
    )


def _largest(drifts: Sequence[Drift]) -> Drift:
    """The worst of several samples of the same networks."""
    return replace(
        drifts[0],
        largest=max(own.largest for own in drifts),
        flags_changed=sum(own.flags_changed for own in drifts),
    )
