"""`nfn evaluate-inr`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, TypeVar

import typer

from nfn_cli.cli.evaluate import ReportFormat
from nfn_cli.cli.interrupts import told_interrupt
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, QuietOption, complete_head
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders
from nfn_cli.cli.progress import Progress
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


Report = TypeVar("Report", bound="DataclassInstance")


class InrSplit(str, Enum):
    """Which networks count."""

    test = "test"
    train = "train"
    all = "all"


def evaluate_inr(
    head: Annotated[
        str,
        typer.Argument(
            metavar="HEAD",
            help="A shipped head's name or a head's folder.",
            autocompletion=complete_head,
            show_default=False,
        ),
    ],
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
    from nfn_cli.cli.class_report import print_class_report
    from nfn_cli.cli.edit_report import print_edit_report
    from nfn_cli.learning.inr import evaluate_classifier, evaluate_editor
    from nfn_cli.nn import task_of_head
    from nfn_cli.nn.inr.editor import EDIT
    from nfn_cli.scoring.device import resolve_device

    others, place = parsed_outsiders(outsiders), resolve_device(device.value)
    if task_of_head(head) == EDIT:
        if others:
            raise UsageError("--outsiders", f"{head} edits, and flags no outsiders", "leave it out")
        with told_interrupt(lambda: "nothing was written"), Progress(quiet=quiet, stage="reading") as progress:
            edited = evaluate_editor(
                head,
                data,
                labels,
                split=split.value,
                count=count,
                seed=seed,
                activation=activation,
                device=place,
                on_stage=progress.stage,
            )
        _print(edited, print_edit_report, format)
        return
    with told_interrupt(lambda: "nothing was written"), Progress(quiet=quiet, stage="reading") as progress:
        report = evaluate_classifier(
            head,
            data,
            labels,
            split=split.value,
            count=count,
            seed=seed,
            activation=activation,
            outsiders=others,
            device=place,
            on_stage=progress.stage,
        )
    _print(report, print_class_report, format)


def _print(report: Report, show: Callable[[Report, TextIO], None], format: ReportFormat) -> None:
    from nfn_cli.cli.report import without_nan

    if format is ReportFormat.json:
        print(json.dumps(without_nan(asdict(report)), indent=2))
    else:
        show(report, sys.stdout)
