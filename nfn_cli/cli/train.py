"""`nfn train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, refuse_existing


def train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder of checkpoints, or a packed file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the head to write.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns file and --target, and run. [default: labels.csv in the folder]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Column with the accuracy to predict, between 0 and 1.")
    ] = "test_accuracy",
    activation: ActivationOption = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training networks.")] = 60,
    members: Annotated[int, typer.Option(min=1, help="Networks in the head's ensemble.")] = 4,
    seed: Annotated[int, typer.Option(help="Decides initial weights and batches.")] = 0,
    device: DeviceOption = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a head that is there.")] = False,
) -> None:
    """Fit a head to labelled checkpoints and write it as a folder, with its model card.

    Checkpoints of one training run (column run) stay together: 70 % of the runs train the head, 12 % calibrate its
    interval, 18 % measure it.
    """
    from tqdm import tqdm

    from nfn_cli.cli.report import print_report
    from nfn_cli.learning import FitSettings, TrainSettings, train_head
    from nfn_cli.scoring.device import resolve_device

    refuse_existing(out, overwrite=overwrite)
    settings = TrainSettings(
        members=members,
        fit=FitSettings(epochs=epochs, seed=seed),
        column=target,
        activation=activation,
    )
    with tqdm(unit="epoch", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def on_epoch(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        report = train_head(
            data,
            labels,
            out,
            settings,
            device=resolve_device(device.value),
            on_start=bar.reset,
            on_epoch=on_epoch,
        )
    print_report(report, sys.stdout)
    print(f"nfn: head written to {out}", file=sys.stderr)
