"""`nfn zoo between`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.options import FIT, INPUT
from nfn_cli.cli.takes import argument, option, takes
from nfn_cli.cli.zoo_options import ZooOptions, make_zoo
from nfn_cli.errors import DataError

if TYPE_CHECKING:
    from nfn_cli.zoo import ZooReport


@takes
def between(
    zoo: Annotated[Path, argument("ZOO", "A zoo of nfn zoo cnn whose runs were saved after several epochs.")],
    options: ZooOptions,
    each: Annotated[int, option(INPUT, "Networks between two saved epochs of a run.", min=1)] = 3,
    seed: Annotated[int, option(FIT, "Decides where between them.")] = 0,
) -> None:
    """Make networks between two epochs of a run.

    Their weights lie on the straight line between two checkpoints that follow each other, and their accuracy is
    measured by running them on the test images of --data, those that the zoo was trained on. nfn train --also fits to
    them besides the zoo. Writes checkpoints and labels.csv, and continues where a stopped run of the command ended.

    Examples:
        nfn zoo between zoo --data digits -o copies
        nfn zoo between zoo --data cifar10.npz --each 5 --packed -o copies
    """
    from nfn_cli.zoo import BetweenSettings, read_record

    record = read_record(zoo)
    if record is None:
        raise DataError(zoo, "holds no zoo of nfn zoo cnn", "give the folder of one")
    settings = BetweenSettings.of(record, data=options.data, zoo=zoo, each=each, seed=seed, packed=options.packed)
    make_zoo(settings, options, "running", "runs", "samples", _summary)


def _summary(report: ZooReport, seconds: float) -> str:
    dropped = f", some of {report.diverged} runs not finite" if report.diverged else ""
    return (
        f"{report.networks:,} networks between epochs of {report.trained + report.found:,} runs"
        f" ({report.trained:,} made now, {report.found:,} found{dropped}) in {seconds:.0f} s"
    )
