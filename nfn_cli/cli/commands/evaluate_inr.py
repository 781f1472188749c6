"""`nfn evaluate-inr`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.interrupts import told_interrupt
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, HeadArgument, QuietOption, ReportFormat
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.errors import UsageError


class InrSplit(str, Enum):
    """Which networks count."""

    test = "test"
    train = "train"
    all = "all"


def evaluate_inr(
    head: HeadArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A zoo of INRs.", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns file, label and split. [default: labels.csv in the folder]", show_default=False
        ),
    ] = None,
    split: Annotated[InrSplit, typer.Option(help="Networks that count, by the column split.")] = InrSplit.test,
    count: Annotated[
        int | None, typer.Option(min=1, help="Measure on this many networks, the first ones. [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides the random group elements.")] = 0,
    outsiders: OutsidersOption = None,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    format: Annotated[ReportFormat, typer.Option(help="How the report is written.")] = ReportFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Measure a head that classifies INRs, or one that edits them.

    One that classifies, on networks as they are and moved by random permutations, signs and phases. One that edits, by
    the mean squared error of what its networks show, and by how far editing and moving are from commuting.
    """
    from nfn_cli.cli.tables.class_report import print_class_report
    from nfn_cli.cli.tables.edit_report import print_edit_report
    from nfn_cli.cli.tables.report import write_report
    from nfn_cli.learning import EvaluateSettings, evaluate_head
    from nfn_cli.nn import task_of_head
    from nfn_cli.scoring.device import resolve_device

    others, editing = parsed_outsiders(outsiders), task_of_head(head) == "edit-inr"
    if editing and others:
        raise UsageError("--ood", f"{head} edits, and flags no networks", "leave it out")
    settings = EvaluateSettings(
        split=split.value, count=count, seed=seed, activation=activation, out_of_distribution=others
    )
    task = "edit-inr" if editing else "classify-inr"
    with told_interrupt(lambda: "nothing was written"), Progress(quiet=quiet, stage="reading") as progress:
        report = evaluate_head(head, data, labels, settings, resolve_device(device.value), progress.stage, task=task)
    write_report(report, print_edit_report if editing else print_class_report, format)
