"""`nfn calibrate`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.evaluate import ReportFormat
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, complete_head
from nfn_cli.cli.outsiders import named_folders
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from nfn_cli.learning import IntervalReport


def calibrate(
    head: Annotated[
        str,
        typer.Argument(
            metavar="HEAD",
            help="A shipped head's name or a head's folder.",
            autocompletion=complete_head,
            show_default=False,
        ),
    ],
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
) -> None:
    """Set a head's interval anew, by networks of your own or of several populations, and measure it on each.

    Predictions and flags stay as they are. Coverage is measured on runs that the interval was not set by, and on each
    population with an interval set by the others alone: what to expect of networks from elsewhere.
    """
    from nfn_cli.cli.report import without_nan
    from nfn_cli.learning import IntervalSettings, calibrate_head
    from nfn_cli.scoring.device import resolve_device

    folders = named_folders("--population", population)
    if os.path.exists(out) and not overwrite:
        raise UsageError(out, "exists already", "pass --overwrite to replace it")
    report = calibrate_head(
        head,
        folders,
        out,
        IntervalSettings(seed, target, run_column, activation),
        device=resolve_device(device.value),
    )
    if format is ReportFormat.json:
        print(json.dumps(without_nan(asdict(report)), indent=2))
    else:
        _print(report)
    print(f"nfn: head written to {out}", file=sys.stderr)


def _print(report: IntervalReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    from nfn_cli.cli.report import report_console

    console = report_console(sys.stdout)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("population", "interval", "coverage", "mean width"):
        table.add_column(name, no_wrap=True)
    for own in report.populations:
        told = {"before": own.before, "taken in": own.taken_in, "left out": own.left_out}
        for number, (name, covered) in enumerate(told.items()):
            if covered is not None:
                first = escape(own.name) if number == 0 else ""
                table.add_row(first, name, str(covered.coverage), f"{covered.width:.4f}")
    console.print(table)
    places = ", ".join(f"{radius:.4f} at {at:.1%}" for at, radius in zip(report.knots, report.radii, strict=True))
    console.print(f"{report.level:.0%} interval: ± {places}", soft_wrap=True)
