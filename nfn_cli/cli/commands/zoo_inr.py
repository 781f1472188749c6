"""`nfn zoo inr`: fit implicit neural representations."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import Device, DeviceOption, QuietOption
from nfn_cli.cli.progress.zoo_progress import zoo_progress


def inr(
    data: Annotated[
        str,
        typer.Option(help="An .npz archive (x_train, y_train, x_test, y_test), digits, mnist, cifar10, ..."),
    ],
    count: Annotated[int, typer.Option(min=0, help="Pictures taken from the training part, drawn at random.")],
    out: Annotated[Path, typer.Option(help="Folder of the zoo; an unfinished one is continued.")],
    test_count: Annotated[int, typer.Option(min=0, help="Pictures taken from the test part.")] = 0,
    fits: Annotated[int, typer.Option(min=1, help="Independent fits to each picture.")] = 1,
    width: Annotated[int, typer.Option(min=1, help="Neurons of every hidden layer.")] = 32,
    hidden_layers: Annotated[int, typer.Option(min=1, max=64, help="Number of hidden layers.")] = 2,
    omega_0: Annotated[float, typer.Option(min=1e-3, max=1e4, help="Frequency of the sines.")] = 30.0,
    steps: Annotated[int, typer.Option(min=1, help="Full-batch steps of Adam a network.")] = 100,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Highest learning rate.")] = 6e-3,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides the pictures and the initial weights.")] = 0,
    packed: Annotated[bool, typer.Option("--packed", help="Many networks a file, along a population axis.")] = False,
    device: DeviceOption = Device.auto,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on a CPU. [default: one a core]", show_default=False)
    ] = None,
    group_size: Annotated[
        int | None,
        typer.Option(min=1, help="Networks fitted side by side. [default: what suits the device]", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Fit a SIREN to each of many pictures, many at once.

    A network takes the place of a pixel, (row, column) in [-1, 1], to its value in [-1, 1]; it starts from its own
    random weights. Writes networks and labels.csv (class and PSNR), and continues where a stopped sitting ended.
    """
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo import InrSettings, generate_zoo

    settings = InrSettings(
        data=data,
        count=count,
        test_count=test_count,
        fits=fits,
        width=width,
        hidden_layers=hidden_layers,
        omega_0=omega_0,
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
        packed=packed,
    )
    started = time.monotonic()
    with zoo_progress(out, "fitting", "networks", "steps", quiet=quiet) as progress:
        report = generate_zoo(
            out,
            settings,
            device=resolve_device(device.value),
            workers=workers or os.cpu_count() or 1,
            group_size=group_size,
            on_start=progress.start,
            on_steps=progress.steps,
            on_runs=progress.things,
        )
    if quiet:
        return
    seconds = time.monotonic() - started
    psnr = f", mean PSNR {report.psnr:.1f} dB" if report.networks else ""
    tell(
        f"{out}: {report.networks:,} networks ({report.trained:,} fitted now, {report.found:,} found,"
        f" {report.diverged:,} diverged){psnr}, in {seconds:.0f} s, {report.trained / seconds:,.0f} networks/s"
    )
