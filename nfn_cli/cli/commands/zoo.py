"""`nfn zoo`: make populations of trained networks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.command import Command
from nfn_cli.cli.commands.zoo_import import imports
from nfn_cli.cli.commands.zoo_inr import inr
from nfn_cli.cli.commands.zoo_wild import wild
from nfn_cli.cli.options import FIT, INPUT
from nfn_cli.cli.program import Group
from nfn_cli.cli.takes import option, takes
from nfn_cli.cli.zoo_options import ZooOptions, make_zoo

if TYPE_CHECKING:
    from nfn_cli.zoo import ZooReport

zoo = typer.Typer(cls=Group, no_args_is_help=True)


@zoo.callback()
def _zoo() -> None:
    """Make populations of networks for heads to learn from.

    Examples:
        nfn zoo cnn --data digits --activation relu --count 64 -o zoo
        nfn zoo inr --data digits --count 1400 --test-count 300 --packed -o inrs
    """


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


@zoo.command(cls=Command)
@takes
def cnn(
    options: ZooOptions,
    activation: Annotated[ZooActivation, option(FIT, "Activation of all networks.")],
    count: Annotated[int, option(INPUT, "Number of training runs.", min=1)],
    seed: Annotated[int, option(FIT, "Decides every run's hyperparameters and weights.")] = 0,
    epochs: Annotated[
        list[int] | None, option(FIT, "Save after this epoch; repeatable. [default: 1 2 4 8]", min=1)
    ] = None,
    width: Annotated[int, option(FIT, "Channels of every convolution.", min=1)] = 16,
    batch_size: Annotated[int, option(FIT, "Images a step and network.", min=1)] = 64,
    schedule: Annotated[
        Schedule, option(FIT, "The learning rate over a run; the recipe holds it constant.")
    ] = Schedule.constant,
    images: Annotated[int | None, option(INPUT, "Use this many training images.", min=1)] = None,
    precision: Annotated[
        Precision, option(FIT, "auto is bfloat16 where the processor computes in it.")
    ] = Precision.auto,
) -> None:
    """Train small CNNs by the recipe of the Small CNN Zoo.

    The recipe is that of Unterthiner et al. 2020: three 3x3 convolutions of 16 channels (or --width) with stride 2,
    global average pooling and a linear layer, with hyperparameters drawn for every run; many are trained at once.
    Writes checkpoints and labels.csv, and continues where a stopped run of the command ended.

    Examples:
        nfn zoo cnn --data digits --activation relu --count 64 -o zoo
        nfn zoo cnn --data cifar10 --activation tanh --count 2000 --packed -o zoo
    """
    from nfn_cli.precision import fastest_precision
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo import ZooSettings

    resolved = resolve_device(options.device.value)
    settings = ZooSettings(
        data=options.data,
        activation=activation.value,
        count=count,
        seed=seed,
        epochs=tuple(sorted(set(epochs or (1, 2, 4, 8)))),
        batch_size=batch_size,
        image_limit=images,
        packed=options.packed,
        precision=fastest_precision(resolved) if precision is Precision.auto else precision.value,
        width=width,
        schedule=schedule.value,
    )
    make_zoo(settings, options, "training", "runs", "samples", _summary)


def _summary(report: ZooReport, seconds: float) -> str:
    return (
        f"{report.networks} checkpoints of {report.trained + report.found} runs ({report.trained} trained now,"
        f" {report.found} found, {report.diverged} diverged) in {seconds:.0f} s,"
        f" {report.steps / seconds:,.0f} network-samples/s"
    )


zoo.command(cls=Command)(inr)
zoo.command(cls=Command)(wild)
zoo.add_typer(imports, name="import")
