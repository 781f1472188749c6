"""`nfn calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.interrupts import told_interrupt
from nfn_cli.cli.options import (
    ActivationOption,
    Device,
    DeviceOption,
    HeadArgument,
    QuietOption,
    ReportFormat,
    refuse_existing,
)
from nfn_cli.cli.outsiders import named_folders
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.folders import claimed

if TYPE_CHECKING:
    from nfn_cli.learning import IntervalReport


def calibrate(
    head: HeadArgument,
    population: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=DIR",
            help="A folder of labelled networks that the head was not fitted to; repeat.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the head to write.", show_default=False)],
    target: Annotated[str, typer.Option(help="Column with the true accuracy.")] = "test_accuracy",
    run_column: Annotated[str, typer.Option(help="Column with the training run.")] = "run",
    seed: Annotated[int, typer.Option(min=0, help="Deals runs into the ten folds that measure.")] = 0,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    format: Annotated[ReportFormat, typer.Option(help="How the report is written.")] = ReportFormat.table,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a head that is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Set a head's interval anew, by networks of your own or of several populations, and measure it on each.

    Predictions and flags stay as they are. Coverage is measured on runs that the interval was not set by, and on each
    population with an interval set by the others alone: what to expect of networks from elsewhere.
    """
    from nfn_cli.cli.tables.report import write_report
    from nfn_cli.learning import IntervalSettings, calibrate_head
    from nfn_cli.scoring.device import resolve_device

    folders = named_folders("--population", population)
    refuse_existing(out, overwrite=overwrite)
    interrupt = told_interrupt(lambda: "nothing was written")
    with claimed(out), interrupt, Progress(quiet=quiet, stage="reading") as progress:
        report = calibrate_head(
            head,
            folders,
            out,
            IntervalSettings(seed, target, run_column, activation),
            device=resolve_device(device.value),
            on_population=lambda name: progress.stage(f"reading {name}"),
        )
    write_report(report, _print, format)
    if not quiet:
        tell(f"head written to {out}")


def _print(report: IntervalReport, stream: TextIO) -> None:
    from nfn_cli.cli.tables.report import figures_table, print_lines

    coverage, width = [], []
    for own in report.populations:
        told = (own.before, own.taken_in, own.left_out)
        coverage.append([own.name, *(str(covered.coverage) if covered else "" for covered in told)])
        width.append([own.name, *(f"{covered.width:.4f}" if covered else "" for covered in told)])
    columns = ("before", "taken in", "left out")
    places = ", ".join(f"{radius:.4f} at {at:.1%}" for at, radius in zip(report.knots, report.radii, strict=True))
    if len(set(report.radii)) == 1:  # of few networks
        places = f"{report.radii[0]:.4f}"
    print_lines(
        stream,
        figures_table("coverage on", columns, coverage),
        figures_table("mean width on", columns, width),
        f"{report.level:.0%} interval: ± {places}",
    )
