"""How many labelled networks a head needs: Kendall's tau on held-out runs against the number of training networks.

The zoo's test part (18 % of its runs, the split of seed 0) stays what it is for every point. For each size and seed,
whole runs are drawn at random from the others until they hold so many networks, and a head is fitted to these. Prints
a table, mean and range over seeds, and writes a figure (extra `nfn-cli[plot]`).

    nfn zoo cnn --data cifar10 --activation relu --count 600 --epochs 2 --epochs 4 --epochs 8 --packed --out zoo
    python benchmarks/learning_curve.py --zoo zoo --sizes 50 100 200 400 800
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, WeightSpace
from nfn_cli.learning import FitSettings, fit_member, kendall_tau
from nfn_cli.learning.batches import batches
from nfn_cli.learning.splits import positions, validation_positions
from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes, read_fields
from nfn_cli.zoo import LabelledNetworks, read_networks


@dataclass(frozen=True)
class Kind:
    """A kind of head: how a member is made for an architecture, and what it reads of networks, the batch first."""

    make: Callable[[Architecture], nn.Module]
    read: Callable[[Architecture, WeightSpace], list[Tensor]]


# Every kind of head that can be compared; a new one is one more line.
KINDS = {
    "monomial": Kind(
        make=lambda architecture: MonomialNFN(Layout.of(architecture), MonomialNFNSizes()),
        read=lambda architecture, point: read_fields(Layout.of(architecture), point),
    ),
}


@dataclass(frozen=True)
class Point:
    """Heads fitted to `networks` networks (of `runs` runs, on average over seeds), a tau for each seed."""

    networks: int
    runs: float
    taus: tuple[float, ...]
    seconds: float


def draw(networks: LabelledNetworks, pool: Sequence[int], size: int, seed: int) -> list[int]:
    """Positions of `size` networks of whole runs from `pool`; the last run may be cut to fit."""
    of_run: dict[str, list[int]] = {}
    for position in pool:
        of_run.setdefault(networks.runs[position], []).append(position)
    names = sorted(of_run)
    random.Random(seed).shuffle(names)
    return [position for name in names for position in of_run[name]][:size]


def tau_of(
    kind: Kind, train: LabelledNetworks, test: LabelledNetworks, members: int, settings: FitSettings, device: str
) -> float:
    """Kendall's tau, on `test`, of an ensemble fitted to `train`."""
    architecture = train.point.architecture
    torch.manual_seed(settings.seed)
    fitted = [kind.make(architecture).to(device) for _ in range(members)]
    inputs = [values.to(device) for values in kind.read(architecture, train.point)]
    accuracies = train.accuracies.to(device, torch.float32)
    for number, member in enumerate(fitted):
        seed = settings.seed * 1_000 + number
        validation = validation_positions(train.runs, settings.validation, seed)
        fit_member(member, inputs, accuracies, settings, seed, validation=validation)
    with torch.inference_mode():
        logits = torch.cat(
            [
                torch.stack([member([values.to(device) for values in read]) for member in fitted]).mean(0).cpu()
                for read in (kind.read(architecture, batch) for batch in batches(test.point))
            ]
        )
    return float(kendall_tau(test.accuracies, logits.double(), None))


def draw_figure(points: Sequence[Point], name: str, path: Path) -> None:
    """Tau against the number of networks, a band from the lowest to the highest seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    sizes = [point.networks for point in points]
    axes.plot(sizes, [statistics.mean(point.taus) for point in points], marker="o", label=name)
    lows, highs = [min(point.taus) for point in points], [max(point.taus) for point in points]
    axes.fill_between(sizes, lows, highs, alpha=0.2)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training networks")
    axes.set_ylabel("Kendall's τ on test runs")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True, help="a zoo, or a folder of checkpoints with labels.csv")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 400, 800])
    parser.add_argument("--seeds", type=int, default=3, help="heads for each size, on other networks each")
    parser.add_argument("--kind", choices=sorted(KINDS), default="monomial")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="default: as `nfn train`")
    parser.add_argument("--validation", type=float, default=0.0, help="share of the training runs that validate")
    parser.add_argument("--patience", type=int, help="epochs without a better validation loss")
    parser.add_argument("--target", default="test_accuracy")
    parser.add_argument("--activation")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--figure", type=Path, default=Path("learning_curve.png"))
    options = parser.parse_args()

    networks = read_networks(options.zoo, column=options.target, activation=options.activation)
    held_out = positions(networks.runs, "test", 0)
    test, apart = networks.select(held_out), set(held_out)
    pool = [position for position in range(len(networks)) if position not in apart]
    if max(options.sizes) > len(pool):
        parser.error(f"only {len(pool)} networks are left to train on")
    print(f"{options.kind}, {options.members} members; tau on {len(test)} networks of {len(set(test.runs))} test runs")
    print(f"{'networks':>8}  {'runs':>6}  {'tau':>6}  {'lowest to highest':>17}  {'seconds a head':>14}")
    points = []
    for size in sorted(options.sizes):
        taus, runs, started = [], [], time.monotonic()
        for seed in range(options.seeds):
            train = networks.select(draw(networks, pool, size, seed))
            settings = FitSettings(
                epochs=options.epochs, seed=seed, validation=options.validation, patience=options.patience
            )
            taus.append(tau_of(KINDS[options.kind], train, test, options.members, settings, options.device))
            runs.append(len(set(train.runs)))
        seconds = (time.monotonic() - started) / options.seeds
        point = Point(size, statistics.mean(runs), tuple(taus), seconds)
        points.append(point)
        spread = f"{min(taus):.3f} to {max(taus):.3f}"
        print(
            f"{size:>8}  {point.runs:>6.0f}  {statistics.mean(taus):>6.3f}  {spread:>17}  {seconds:>14.1f}", flush=True
        )
    draw_figure(points, options.kind, options.figure)
    print(f"figure: {options.figure}")


if __name__ == "__main__":
    main()
