"""`nfn zoo`: make populations of trained networks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.command import Command
from nfn_cli.cli.commands.zoo_between import between
from nfn_cli.cli.commands.zoo_import import imports
from nfn_cli.cli.commands.zoo_inr import inr
from nfn_cli.cli.commands.zoo_wild import wild
from nfn_cli.cli.options import FIT, INPUT
from nfn_cli.cli.program import Group
from nfn_cli.cli.takes import option, takes
from nfn_cli.cli.zoo_options import ZooOptions, make_zoo
from nfn_cli.errors import UsageError

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


class Augmentation(str, Enum):
    """What is done to each training image before it is shown."""

    none = "none"
    shift = "shift"
    flip = "flip"
    both = "shift-flip"


class Preprocessing(str, Enum):
    """The pixels that the networks read: in [-1, 1], in [0, 1], or of mean 0 and deviation 1."""

    signed = "signed"
    unit = "unit"
    standard = "standard"


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
    batch_size: Annotated[int | None, option(FIT, "Images a step and network. [default: 64]", min=1)] = None,
    schedule: Annotated[Schedule | None, option(FIT, "The learning rate over a run. [default: constant]")] = None,
    augmentation: Annotated[
        Augmentation | None,
        option(FIT, "Shift training images by up to an eighth, flip them, or both. [default: none]"),
    ] = None,
    preprocessing: Annotated[
        Preprocessing | None,
        option(FIT, "Pixels in [-1, 1], in [0, 1], or of mean 0 and deviation 1. [default: signed]"),
    ] = None,
    varied: Annotated[
        bool,
        option(
            FIT,
            "Draw these too: epochs (1 to 20), batch size (32 to 512), schedule, augmentation, preprocessing, and the"
            " share of the images (a tenth to all).",
            "--varied",
        ),
    ] = False,
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
        nfn zoo cnn --data cifar10 --activation tanh --count 2000 --varied -o zoo
    """
    from nfn_cli.precision import fastest_precision
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo import ZooSettings

    given = {
        "--epochs": epochs,
        "--batch-size": batch_size,
        "--schedule": schedule,
        "--augmentation": augmentation,
        "--preprocessing": preprocessing,
    }
    for name, value in given.items():
        if varied and value is not None:
            raise UsageError(name, "is drawn for each run of a varied zoo", f"leave out {name} or --varied")
    resolved = resolve_device(options.device.value)
    settings = ZooSettings(
        data=options.data,
        activation=activation.value,
        count=count,
        seed=seed,
        epochs=tuple(sorted(set(epochs or (1, 2, 4, 8)))),
        batch_size=batch_size or 64,
        image_limit=images,
        packed=options.packed,
        precision=fastest_precision(resolved) if precision is Precision.auto else precision.value,
        width=width,
        schedule=(schedule or Schedule.constant).value,
        augmentation=(augmentation or Augmentation.none).value,
        preprocessing=(preprocessing or Preprocessing.signed).value,
        varied=varied,
    )
    make_zoo(settings, options, "training", "runs", "samples", _summary)


def _summary(report: ZooReport, seconds: float) -> str:
    rate = f", {report.steps / seconds:,.0f} network-samples/s" if report.steps else ""
    return (
        f"{report.networks} checkpoints of {report.trained + report.found} runs ({report.trained} trained now,"
        f" {report.found} found, {report.diverged} diverged) in {seconds:.0f} s{rate}"
    )


zoo.command(cls=Command)(inr)
zoo.command(cls=Command)(wild)
zoo.command(cls=Command)(between)
zoo.add_typer(imports, name="import")
