"""`nfn evaluate`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.interrupts import told_interrupt
from nfn_cli.cli.options import (
    ActivationOption,
    Device,
    DeviceOption,
    HeadArgument,
    QuietOption,
    ReportFormat,
    checked_scale_range,
)
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders
from nfn_cli.cli.progress.bars import Progress


class Split(str, Enum):
    """Which networks count."""

    test = "test"
    all = "all"


def evaluate(
    head: HeadArgument,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder of checkpoints, or a packed file.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns file and --target, and --run-column. [default: labels.csv in the folder]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="Column with the true accuracy.")] = "test_accuracy",
    run_column: Annotated[
        str | None,
        typer.Option(help="Column with the training run. [default: the one of the head's fit]", show_default=False),
    ] = None,
    split: Annotated[
        Split, typer.Option(help="Only runs that the head's split keeps for testing, or all.")
    ] = Split.test,
    scale_range: Annotated[
        tuple[float, float], typer.Option(help="Scales of random elements, log-uniform.", metavar="LOW HIGH")
    ] = (1.0, 1e4),
    samples: Annotated[int, typer.Option(min=1, help="Random group elements a network.")] = 1,
    seed: Annotated[int, typer.Option(help="Decides the random elements.")] = 0,
    outsiders: OutsidersOption = None,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    format: Annotated[ReportFormat, typer.Option(help="How the report is written.")] = ReportFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Measure a head on labelled checkpoints: as they are, and moved by random elements of their symmetry group.

    Kendall's tau, R2, mean absolute error, coverage of the interval and share flagged, with 95 % bootstrap intervals
    over training runs; then the share flagged of outsiders made of these networks, and of those given.
    """
    from nfn_cli.cli.tables.report import print_report, write_report
    from nfn_cli.learning import EvaluateSettings, evaluate_head
    from nfn_cli.scoring.device import resolve_device

    settings = EvaluateSettings(
        split="all" if split is Split.all else "test",
        scale_range=checked_scale_range(scale_range),
        samples=samples,
        seed=seed,
        column=target,
        run_column=run_column,
        activation=activation,
        out_of_distribution=parsed_outsiders(outsiders),
    )
    with told_interrupt(lambda: "nothing was written"), Progress(quiet=quiet, stage="reading") as progress:
        report = evaluate_head(
            head, data, labels, settings, resolve_device(device.value), progress.stage, task="predict-accuracy"
        )
    write_report(report, print_report, format)
