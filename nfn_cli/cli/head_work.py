"""Fitting and measuring heads: what the commands for each task share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

from nfn_cli.cli.failures import print_note
from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import (
    FIT,
    INPUT,
    ActivationOption,
    Device,
    DeviceOption,
    Format,
    HeadOutputOption,
    LargestSeed,
    OverwriteHeadOption,
    QuietOption,
    ReportFormatOption,
    refuse_existing,
)
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.progress.fit_progress import fit_progress
from nfn_cli.cli.takes import argument, option
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from nfn_cli.learning import FitPlan

Report = TypeVar("Report", bound="DataclassInstance")

Networks = Annotated[
    list[Path],
    argument("DATA", "A folder of checkpoints, or a packed file; for a head for any classifier, one or more folders."),
]
Inrs = Annotated[Path, argument("DATA", "A zoo of INRs.")]
AccuracyLabels = Annotated[
    Path | None,
    option(INPUT, "CSV with columns file and --target, and --run-column. [default: labels.csv in the folder]"),
]
ClassLabels = Annotated[
    Path | None, option(INPUT, "CSV with columns file, label and split. [default: labels.csv in the folder]")
]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of every fit."""

    output: HeadOutputOption
    seed: Annotated[int, option(FIT, "Decides initial weights and batches.", min=0, max=LargestSeed)] = 0
    activation: ActivationOption = None
    device: DeviceOption = Device.auto
    overwrite: OverwriteHeadOption = False
    quiet: QuietOption = False


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Options of every measurement."""

    activation: ActivationOption = None
    device: DeviceOption = Device.auto
    format: ReportFormatOption = Format.table
    quiet: QuietOption = False


def fit_head(
    data: Path, labels: Path | None, settings: Any, options: FitOptions, unit: str, show: Callable[[Any, TextIO], None]
) -> None:
    """Fit a head into its folder, or continue an unfinished fit, and print what it was measured to do.

    Args:
        settings: of a task, see `nfn_cli.learning.train_head`.
        unit: of the steps, such as `epochs`.
        show: prints the report.
    """
    from nfn_cli.learning import train_head

    _fit(
        partial(train_head, data, labels, options.output, settings),
        ([data], labels),
        options,
        unit,
        show,
        lambda progress: {"on_epoch": progress.step},
    )


def fit_any_head(data: list[Path], labels: Path | None, settings: Any, options: FitOptions) -> None:
    """Fit a head for any classifier into its folder, or continue an unfinished fit, and print what it does.

    Args:
        settings: `nfn_cli.learning.AnySettings`.
    """
    from nfn_cli.cli.tables.any_report import print_any_report
    from nfn_cli.learning import train_any_head

    def told(progress: Any) -> dict[str, Callable[[int], None]]:
        def say(architectures: int) -> None:
            several = "1 architecture" if architectures == 1 else f"{architectures:,} architectures"
            progress.announce(f"networks of {several}: fitting a head for any classifier")

        reading = {"on_reading": progress.reading, "on_read": progress.read, "on_architectures": say}
        return {**reading, "on_steps": progress.steps}

    work = partial(train_any_head, data, labels, options.output, settings)
    _fit(work, (data, labels), options, "epochs", print_any_report, told)


def _fit(
    train: Callable[..., Any],
    given: tuple[list[Path], Path | None],
    options: FitOptions,
    unit: str,
    show: Callable[[Any, TextIO], None],
    told: Callable[[Any], dict[str, Callable[..., None]]],
) -> None:
    """Run a fit with its progress, print its report, and say where the head is.

    Args:
        train: takes the device, `overwrite` and what it calls as it goes.
        given: the data and their table.
        unit, show: as in `fit_head`.
        told: what it calls besides, of the progress.
    """
    from nfn_cli.learning import is_unfinished
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo.unlisted import unlisted_note

    if not is_unfinished(options.output):
        refuse_existing(options.output, overwrite=options.overwrite)
    with fit_progress(options.output, unit, quiet=options.quiet) as progress:

        def plan(own: FitPlan) -> None:
            if note := unlisted_note(*given):
                progress.announce(note)
            progress.plan(own)

        report = train(
            device=resolve_device(options.device.value),
            overwrite=options.overwrite,
            on_plan=plan,
            on_resume=progress.resumed,
            on_skip=progress.skip,
            on_stage=progress.stage,
            **told(progress),
        )
    show(report, sys.stdout)
    if not options.quiet:
        print_note(f"head written to {options.output}")


def one_path(data: list[Path]) -> Path:
    """What a head for one architecture is fitted to, or measured on.

    Raises:
        UsageError: several folders.
    """
    if len(data) > 1:
        raise UsageError("DATA", "several folders, and the head reads one architecture", "give one of them")
    return data[0]


def measure_head(
    options: MeasureOptions,
    measure: Callable[[Callable[[str], None], str], Report],
    show: Callable[[Report, TextIO], None],
) -> None:
    """Measure a head, and write the report.

    Args:
        measure: does the work, and says what is under way; gets the device as well.
        show: prints its report for people.
    """
    from nfn_cli.cli.tables.report import write_report
    from nfn_cli.scoring.device import resolve_device

    with interrupt_message(lambda: "nothing was written"), Progress(quiet=options.quiet, stage="reading") as progress:
        report = measure(progress.stage, resolve_device(options.device.value))
    write_report(report, show, options.format)
