"""`nfn zoo`: make populations of trained networks."""

from __future__ import annotations

import os
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.commands.zoo_import import imports
from nfn_cli.cli.commands.zoo_inr import inr
from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import Device, DeviceOption, QuietOption
from nfn_cli.cli.progress.zoo_progress import zoo_progress

zoo = typer.Typer(help="Make populations of trained networks, to fit and measure heads on.", no_args_is_help=True)
zoo.add_typer(imports, name="import")
zoo.command()(inr)


@zoo.callback()
def _zoo() -> None:
    """Make populations of trained networks, to fit and measure heads on."""


class ZooActivation(str, Enum):
    """Activations of the recipe."""

    relu = "relu"
    tanh = "tanh"


class Schedule(str, Enum):
    """How the learning rate falls over a run."""

    constant = "constant"
    cosine = "cosine"


class Precision(str, Enum):
    """Arithmetic of activations and gradients; weights and optimizer are float32 always."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@zoo.command()
def cnn(
    data: Annotated[
        str,
        typer.Option(help="An .npz archive (x_train, y_train, x_test, y_test), digits, mnist, cifar10, ..."),
    ],
    activation: Annotated[ZooActivation, typer.Option(help="Activation of all networks.")],
    count: Annotated[int, typer.Option(min=1, help="Number of training runs.")],
    out: Annotated[Path, typer.Option(help="Folder of the zoo; an unfinished one is continued.")],
    seed: Annotated[int, typer.Option(help="Decides every run's hyperparameters and weights.")] = 0,
    epochs: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Save after this epoch; repeat. [default: 1 2 4 8]", show_default=False),
    ] = None,
    width: Annotated[int, typer.Option(min=1, help="Channels of every convolution.")] = 16,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step and network.")] = 64,
    schedule: Annotated[
        Schedule, typer.Option(help="The learning rate over a run; the recipe holds it constant.")
    ] = Schedule.constant,
    images: Annotated[int | None, typer.Option(min=1, help="Use this many training images.")] = None,
    packed: Annotated[bool, typer.Option("--packed", help="Many checkpoints a file, along a population axis.")] = False,
    precision: Annotated[
        Precision, typer.Option(help="auto is bfloat16 where the processor computes in it.")
    ] = Precision.auto,
    device: DeviceOption = Device.auto,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on a CPU. [default: one a core]", show_default=False)
    ] = None,
    group_size: Annotated[
        int | None,
        typer.Option(min=1, help="Networks trained side by side. [default: what suits the device]", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Train small CNNs by the recipe of the Small CNN Zoo (Unterthiner et al. 2020), many at once.

    Three 3x3 convolutions of 16 channels (or --width) with stride 2, global average pooling and a linear layer, with
    hyperparameters drawn anew for every run. Writes checkpoints and labels.csv, and continues where a stopped sitting
    ended.
    """
    from nfn_cli.precision import fastest_precision
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo import ZooSettings, generate_zoo

    resolved = resolve_device(device.value)
    settings = ZooSettings(
        data=data,
        activation=activation.value,
        count=count,
        seed=seed,
        epochs=tuple(sorted(set(epochs or (1, 2, 4, 8)))),
        batch_size=batch_size,
        image_limit=images,
        packed=packed,
        precision=fastest_precision(resolved) if precision is Precision.auto else precision.value,
        width=width,
        schedule=schedule.value,
    )
    started = time.monotonic()
    with zoo_progress(out, "training", "runs", "samples", quiet=quiet) as progress:
        report = generate_zoo(
            out,
            settings,
            device=resolved,
            workers=workers or os.cpu_count() or 1,
            group_size=group_size,
            on_start=progress.start,
            on_steps=progress.steps,
            on_runs=progress.things,
        )
    if quiet:
        return
    seconds = time.monotonic() - started
    tell(
        f"{out}: {report.networks} checkpoints of {report.trained + report.found} runs"
        f" ({report.trained} trained now, {report.found} found, {report.diverged} diverged) in {seconds:.0f} s,"
        f" {report.steps / seconds:,.0f} network-samples/s"
    )
