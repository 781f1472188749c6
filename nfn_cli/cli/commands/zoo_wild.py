"""`nfn zoo wild`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.options import FIT, INPUT
from nfn_cli.cli.takes import option, takes
from nfn_cli.cli.zoo_options import ZooOptions, make_zoo

if TYPE_CHECKING:
    from nfn_cli.zoo import ZooReport


@takes
def wild(
    options: ZooOptions,
    count: Annotated[int, option(INPUT, "Number of training runs.", min=1)],
    seed: Annotated[int, option(FIT, "Decides every run's task, network and training.")] = 0,
    budget: Annotated[
        int, option(FIT, "10^9 multiplications a run, in forward passes: larger networks see fewer images.", min=1)
    ] = 100,
    per_network: Annotated[
        int,
        option(
            FIT,
            "Runs of each drawn network; they differ in seed, initialiser, learning rate, weight decay, label noise,"
            " averaging and preprocessing, and train side by side.",
            min=1,
        ),
    ] = 1,
) -> None:
    """Train classifiers of random architecture.

    MLPs, LeNets, strided, pooled, VGG-like and residual CNNs, and the recipe of the CNN Wild Park, on tasks made of the
    images, by optimizers, schedules and data drawn anew for every run. Each run has a folder with its checkpoints and a
    config.json, which records the forward pass. Writes labels.csv, and continues where a stopped run of the command
    ended.

    Examples:
        nfn zoo wild --data digits --count 100 -o wild
        nfn zoo wild --data cifar10.npz --count 5000 --workers 8 -o wild
        nfn zoo wild --data cifar10.npz --count 5000 --per-network 16 --device cuda --workers 4 -o wild
    """
    from nfn_cli.zoo import WildSettings

    make_zoo(
        WildSettings(options.data, count, seed, budget, options.packed, per_network),
        options,
        "training",
        "runs",
        "epochs",
        _summary,
    )


def _summary(report: ZooReport, seconds: float) -> str:
    return (
        f"{report.networks} checkpoints of {report.trained + report.found} runs ({report.trained} trained now,"
        f" {report.found} found, {report.diverged} diverged) in {seconds:.0f} s"
    )
