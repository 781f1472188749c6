"""`nfn zoo inr`: fit implicit neural representations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.options import FIT, INPUT, LargestSeed
from nfn_cli.cli.takes import option, takes
from nfn_cli.cli.zoo_options import ZooOptions, make_zoo

if TYPE_CHECKING:
    from nfn_cli.zoo import ZooReport


@takes
def inr(
    options: ZooOptions,
    count: Annotated[int, option(INPUT, "Pictures taken from the training part, drawn at random.", min=0)],
    test_count: Annotated[int, option(INPUT, "Pictures taken from the test part.", min=0)] = 0,
    fits: Annotated[int, option(FIT, "Independent fits to each picture.", min=1)] = 1,
    width: Annotated[int, option(FIT, "Neurons of every hidden layer.", min=1)] = 32,
    hidden_layers: Annotated[int, option(FIT, "Number of hidden layers.", min=1, max=64)] = 2,
    omega_0: Annotated[float, option(FIT, "Frequency of the sines.", min=1e-3, max=1e4)] = 30.0,
    steps: Annotated[int, option(FIT, "Full-batch steps of Adam a network.", min=1)] = 100,
    learning_rate: Annotated[float, option(FIT, "Highest learning rate.", min=0.0)] = 6e-3,
    initial_scale: Annotated[
        float, option(FIT, "Initial weights, relative to the usual ones.", min=1e-3, max=1e3)
    ] = 1.0,
    seed: Annotated[int, option(FIT, "Decides the pictures and the initial weights.", min=0, max=LargestSeed)] = 0,
) -> None:
    """Fit a SIREN to each of many pictures.

    A network takes the position of a pixel, (row, column) in [-1, 1], to its value in [-1, 1]; it starts from its own
    random weights, and many are fitted at once. Writes networks and labels.csv (class and PSNR), and continues where a
    stopped run of the command ended.

    Examples:
        nfn zoo inr --data digits --count 1400 --test-count 300 --packed -o inrs
        nfn zoo inr --data mnist --count 100 --width 64 --steps 500 -o sharper
    """
    from nfn_cli.zoo import InrSettings

    settings = InrSettings(
        data=options.data,
        count=count,
        test_count=test_count,
        fits=fits,
        width=width,
        hidden_layers=hidden_layers,
        omega_0=omega_0,
        steps=steps,
        learning_rate=learning_rate,
        initial_scale=initial_scale,
        seed=seed,
        packed=options.packed,
    )
    make_zoo(settings, options, "fitting", "networks", "steps", _summary)


def _summary(report: ZooReport, seconds: float) -> str:
    psnr = f", mean PSNR {report.psnr:.1f} dB" if report.networks else ""
    rate = f", {report.trained / seconds:,.0f} networks/s" if report.trained else ""
    return (
        f"{report.networks:,} networks ({report.trained:,} fitted now, {report.found:,} found,"
        f" {report.diverged:,} diverged){psnr}, in {seconds:.0f} s{rate}"
    )
