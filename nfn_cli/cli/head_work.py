"""Fitting and measuring heads: what the commands for each task share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

from nfn_cli.cli.failures import tell
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

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = TypeVar("Report", bound="DataclassInstance")

Networks = Annotated[Path, argument("DATA", "A folder of checkpoints, or a packed file.")]
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
    """What every fit asks for."""

    output: HeadOutputOption
    seed: Annotated[int, option(FIT, "Decides initial weights and batches.", min=0, max=LargestSeed)] = 0
    activation: ActivationOption = None
    device: DeviceOption = Device.auto
    overwrite: OverwriteHeadOption = False
    quiet: QuietOption = False


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What every measurement asks for."""

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
    from nfn_cli.learning import is_unfinished, train_head
    from nfn_cli.scoring.device import resolve_device

    if not is_unfinished(options.output):
        refuse_existing(options.output, overwrite=options.overwrite)
    with fit_progress(options.output, unit, quiet=options.quiet) as progress:
        report = train_head(
            data,
            labels,
            options.output,
            settings,
            device=resolve_device(options.device.value),
            overwrite=options.overwrite,
            on_plan=progress.plan,
            on_epoch=progress.step,
            on_skip=progress.skip,
            on_stage=progress.stage,
        )
    show(report, sys.stdout)
    if not options.quiet:
        tell(f"head written to {options.output}")


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
