"""How many labelled networks a head needs: Kendall's tau on held-out runs against the number of training networks.

The zoo's test part (18 % of its runs, the split of seed 0) stays what it is for every point. For each size and seed,
whole runs are drawn at random from the others until they hold so many networks, and a head is fitted to these. Prints
a table, mean and range over seeds, and writes a figure (extra `nfn-cli[plot]`).

    nfn zoo cnn --data cifar10 --activation relu --count 600 --epochs 2 --epochs 4 --epochs 8 --packed --out zoo
    python benchmarks/learning_curve.py --zoo zoo --sizes 50 100 200 400 800
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn_cli.learning import FitSettings, kendall_tau
from nfn_cli.learning.batches import batches
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.known_forward_pass import known_forward_pass
from nfn_cli.learning.splits import positions
from nfn_cli.nn import Accepted, AccuracyDetails, ForwardPass, HeadConfig, sizes_of
from nfn_cli.nn.names import HEAD_KINDS, kinds_of
from nfn_cli.zoo import LabelledNetworks, read_networks


@dataclass(frozen=True)
class Point:
    """Heads of a kind fitted to `networks` networks (of `runs` runs, on average over seeds), a tau for each seed."""

    kind: str
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
    kind: str,
    forward_pass: ForwardPass,
    train: LabelledNetworks,
    test: LabelledNetworks,
    members: int,
    settings: FitSettings,
    device: str,
) -> float:
    """Kendall's tau, on `test`, of an ensemble fitted to `train`."""
    sizes = sizes_of(kind)
    torch.manual_seed(settings.seed)
    config = HeadConfig(
        Accepted.of(train.point.architecture), sizes, AccuracyDetails(forward_pass=forward_pass), members
    )
    model = config.new_model().to(device)
    settings = replace(settings, epochs=settings.epochs_for(len(train), HEAD_KINDS[kind].epochs))
    accuracies = train.targets.to(device, torch.float32)
    fit_stages(ensemble_stages(model, model.encode(train.point), accuracies, settings, runs=train.runs))
    with torch.inference_mode():
        logits = torch.cat([model(model.encode(batch))[0].cpu() for batch in batches(test.point)])
    return float(kendall_tau(test.targets, logits.double(), None))


def draw_figure(points: Sequence[Point], path: Path) -> None:
    """Tau against the number of networks, a line for each kind and a band from the lowest to the highest seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for kind in dict.fromkeys(point.kind for point in points):
        own = [point for point in points if point.kind == kind]
        sizes = [point.networks for point in own]
        axes.plot(sizes, [statistics.mean(point.taus) for point in own], marker="o", label=kind)
        lows, highs = [min(point.taus) for point in own], [max(point.taus) for point in own]
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
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=sorted(kinds_of("predict-accuracy")),
        default=sorted(kinds_of("predict-accuracy")),
        help="default: all",
    )
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
    forward_pass = known_forward_pass(options.zoo, networks.point.architecture) or ForwardPass()
    print(f"{options.members} members; tau on {len(test)} networks of {len(set(test.runs))} test runs")
    print(
        f"{'kind':>14}  {'networks':>8}  {'runs':>6}  {'tau':>6}  {'lowest to highest':>17}  {'processor seconds':>17}"
    )
    points = []
    for kind, size in itertools.product(options.kinds, sorted(options.sizes)):
        taus, runs, started = [], [], time.process_time()
        for seed in range(options.seeds):
            train = networks.select(draw(networks, pool, size, seed))
            settings = FitSettings(
                epochs=options.epochs, seed=seed, validation=options.validation, patience=options.patience
            )
            taus.append(tau_of(kind, forward_pass, train, test, options.members, settings, options.device))
            runs.append(len(set(train.runs)))
        seconds = (time.process_time() - started) / options.seeds
        point = Point(kind, size, statistics.mean(runs), tuple(taus), seconds)
        points.append(point)
        mean, spread = statistics.mean(taus), f"{min(taus):.3f} to {max(taus):.3f}"
        print(f"{kind:>14}  {size:>8}  {point.runs:>6.0f}  {mean:>6.3f}  {spread:>17}  {seconds:>17.1f}", flush=True)
    draw_figure(points, options.figure)
    print(f"figure: {options.figure}")


if __name__ == "__main__":
    main()
