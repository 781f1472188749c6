"""`nfn evaluate-inr`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.evaluate import ReportFormat
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, complete_head
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders


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
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides the random group elements.")] = 0,
    outsiders: OutsidersOption = None,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    format: Annotated[ReportFormat, typer.Option(help="How the report is written.")] = ReportFormat.table,
) -> None:
    """Measure a head that classifies INRs: as they are, and moved by random permutations, signs and phases."""
    from nfn_cli.cli.class_report import print_class_report
    from nfn_cli.cli.report import without_nan
    from nfn_cli.learning.inr import evaluate_classifier
    from nfn_cli.scoring.device import resolve_device

    report = evaluate_classifier(
        head,
        data,
        labels,
        split=split.value,
        seed=seed,
        activation=activation,
        outsiders=parsed_outsiders(outsiders),
        device=resolve_device(device.value),
    )
    if format is ReportFormat.json:
        print(json.dumps(without_nan(asdict(report)), indent=2))
    else:
        print_class_report(report, sys.stdout)
