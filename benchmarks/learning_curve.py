"""How many labelled networks a head needs: Kendall's tau on held-out runs against the number of training networks.

The test part (18 % of the runs, the split of seed 0) stays what it is for every point. For each size and seed, whole
runs are drawn at random from the others until they hold so many networks, and a head is fitted to these; every method
meets the same draws. Prints a table, mean and range over seeds, by how much `--ours` is ahead (mean over seeds, with a
95 % interval by bootstrap over test runs), and writes a figure (extra `nfn-cli[plot]`). Fits are kept in `--out`, and
what is there is not fitted again.

    nfn zoo cnn --data cifar10 --activation relu --count 600 --epochs 2 --epochs 4 --epochs 8 --packed --out zoo
    python benchmarks/learning_curve.py --zoo zoo --sizes 50 100 200 400 800 --out curve.jsonl

Beside two kinds of heads there are two more methods: `monomial-nfn-unit-form` reads the sizes of entries in the unit
form (`MonomialNFNSizes.unit_form`); `monomial-nfn-paper` has the layers, sizes and fit of the paper's code
(`nfn_cli.nn.baselines.PaperMonomialNFN`).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.learning import Estimate, FitSettings, bootstrap, kendall_tau
from nfn_cli.learning.batches import batches
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.known_forward_pass import known_forward_pass
from nfn_cli.learning.member_fit import accuracy_loss
from nfn_cli.learning.splits import positions
from nfn_cli.learning.tasks import LEARNING_TASKS
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ForwardPass,
    HeadConfig,
    Layout,
    MonomialNFNSizes,
    read_fields,
    sizes_of,
)
from nfn_cli.nn.baselines import PaperMonomialNFN
from nfn_cli.nn.kinds import kind_of
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.zoo import LabelledNetworks, join_networks, read_networks


@dataclass(frozen=True)
class Fitted:
    """A head of `method`, fitted to `networks` networks of `runs` runs that `seed` draws, and its logits of the test
    part."""

    method: str
    networks: int
    seed: int
    runs: int
    seconds: float
    logits: tuple[float, ...]

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is looked up by."""
        return self.method, self.networks, self.seed


@dataclass(frozen=True)
class Task:
    """What every fit is given: how the networks are run, the members of a head, and the budget of each."""

    forward_pass: ForwardPass
    members: int
    settings: FitSettings
    device: str


Fit = Callable[[LabelledNetworks, LabelledNetworks, Task], Tensor]
"""From training networks and test networks to logits [test networks]."""


def draw(networks: LabelledNetworks, pool: Sequence[int], size: int, seed: int) -> list[int]:
    """Positions of `size` networks of whole runs from `pool`; the last run may be cut to fit."""
    of_run: dict[str, list[int]] = {}
    for position in pool:
        of_run.setdefault(networks.runs[position], []).append(position)
    names = sorted(of_run)
    random.Random(seed).shuffle(names)
    return [position for name in names for position in of_run[name]][:size]


def fit_head(sizes: Any, train: LabelledNetworks, test: LabelledNetworks, task: Task) -> Tensor:
    """As `nfn train` fits it."""
    torch.manual_seed(task.settings.seed)
    config = HeadConfig(
        Accepted.of(train.point.architecture), sizes, AccuracyDetails(forward_pass=task.forward_pass), task.members
    )
    model = config.new_model().to(task.device)
    usual = LEARNING_TASKS["predict-accuracy"].usual_fit
    settings = usual(task.settings, len(train), HEAD_KINDS[kind_of(sizes)].epochs)
    accuracies = train.targets.to(task.device, torch.float32)
    fit_stages(ensemble_stages(model, model.encode(train.point), accuracies, settings, runs=train.runs))
    with torch.inference_mode():
        return torch.cat([model(model.encode(batch))[0].cpu() for batch in batches(test.point)]).double()


def fit_as_the_paper(train: LabelledNetworks, test: LabelledNetworks, task: Task) -> Tensor:
    """As the paper's code does: Adam at a constant rate, 50 passes in batches of 8; the last weights are kept."""
    layout = Layout.of(train.point.architecture)
    inputs, accuracies = read_fields(layout, train.point), train.targets.float()
    logits = []
    for member in range(task.members):
        torch.manual_seed(task.settings.seed * 1_000 + member)
        model = PaperMonomialNFN(train.point.architecture)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(50):
            for chosen in torch.randperm(len(train)).split(8):
                optimizer.zero_grad()
                loss = accuracy_loss(model([values[chosen] for values in inputs]), accuracies[chosen], "mean")
                loss.backward()
                optimizer.step()
        with torch.inference_mode():
            logits.append(torch.cat([model(read_fields(layout, batch)) for batch in batches(test.point)]).double())
    return torch.stack(logits).mean(0)


METHODS: dict[str, Fit] = {
    "monomial-probe": lambda *given: fit_head(sizes_of("monomial-probe"), *given),
    "monomial-nfn": lambda *given: fit_head(sizes_of("monomial-nfn"), *given),
    "monomial-nfn-unit-form": lambda *given: fit_head(MonomialNFNSizes(dropout=0.3, unit_form=True), *given),
    "monomial-nfn-paper": fit_as_the_paper,
}


def read_results(path: Path) -> dict[tuple[str, int, int], Fitted]:
    """The fits that are kept in a file; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = (json.loads(line) for line in lines)
    results = [Fitted(**(record | {"logits": tuple(record["logits"])})) for record in records]
    return {result.key: result for result in results}


def taus(fits: Sequence[Fitted], test: LabelledNetworks) -> list[float]:
    """Kendall's tau of each fit."""
    return [float(kendall_tau(test.targets, torch.tensor(fit.logits, dtype=torch.float64), None)) for fit in fits]


def ahead(ours: Sequence[Fitted], others: Sequence[Fitted], test: LabelledNetworks) -> Estimate:
    """By how much the tau of the first is higher, on average over seeds; every resample of test runs serves both."""

    def difference(truth: Tensor, predicted: Tensor, weights: Tensor | None) -> Tensor:
        found = torch.stack([kendall_tau(truth, row, weights) for row in predicted])
        return found[: len(ours)].mean(0) - found[len(ours) :].mean(0)

    logits = torch.tensor([fit.logits for fit in (*ours, *others)], dtype=torch.float64)
    return bootstrap(difference, test.targets, logits, test.runs)


def print_tables(results: Sequence[Fitted], test: LabelledNetworks, ours: str | None) -> dict[str, list[list[float]]]:
    """Print tau at each size, and by how much `ours` is ahead; the taus at each size of every method."""
    columns = f"{'method':>24}  {'networks':>8}  {'runs':>5}  {'tau':>6}  {'lowest to highest':>17}  {'seconds':>7}"
    print(columns)
    curves: dict[str, list[list[float]]] = {}
    groups: dict[tuple[str, int], list[Fitted]] = {}
    for fit in sorted(results, key=lambda fit: (list(METHODS).index(fit.method), fit.networks, fit.seed)):
        groups.setdefault((fit.method, fit.networks), []).append(fit)
    for (method, size), fits in groups.items():
        found = taus(fits, test)
        curves.setdefault(method, []).append([size, *found])
        runs, seconds = (
            statistics.mean(values) for values in zip(*((fit.runs, fit.seconds) for fit in fits), strict=True)
        )
        spread = f"{min(found):.3f} to {max(found):.3f}"
        print(f"{method:>24}  {size:>8}  {runs:>5.0f}  {statistics.mean(found):>6.3f}  {spread:>17}  {seconds:>7.1f}")
    for (method, size), fits in groups.items():
        mine = {fit.seed: fit for fit in groups.get((ours or "", size), [])}
        shared = [fit for fit in fits if fit.seed in mine]
        if method != ours and shared:
            lead = ahead([mine[fit.seed] for fit in shared], shared, test)
            print(f"{ours} ahead of {method} at {size} by {lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]")
    return curves


def draw_figure(curves: dict[str, list[list[float]]], path: Path) -> None:
    """Tau against the number of networks, a line for each method and a band from the lowest to the highest seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for method, points in curves.items():
        sizes = [point[0] for point in points]
        axes.plot(sizes, [statistics.mean(point[1:]) for point in points], marker="o", label=method)
        axes.fill_between(sizes, [min(point[1:]) for point in points], [max(point[1:]) for point in points], alpha=0.2)
    axes.set_xscale("log")
    every = sorted({point[0] for points in curves.values() for point in points})
    axes.set_xticks(every, [f"{size:g}" for size in every])
    axes.minorticks_off()
    axes.set_xlabel("training networks")
    axes.set_ylabel("Kendall's τ on test runs")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    usual = ["monomial-nfn", "monomial-probe"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--zoo", type=Path, nargs="+", required=True, help="zoos, or folders of checkpoints with labels.csv"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 400, 800])
    parser.add_argument("--seeds", type=int, default=3, help="heads for each size, on other networks each")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=usual, help=f"default: {' '.join(usual)}")
    parser.add_argument("--ours", choices=METHODS, help="the method that the others are compared with")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="default: as `nfn train`; the paper's method has its own")
    parser.add_argument("--batch-size", type=int, help="default: as `nfn train`; the paper's method has its own")
    parser.add_argument("--validation", type=float, default=0.0, help="share of the training runs that validate")
    parser.add_argument("--patience", type=int, help="epochs without a better validation loss")
    parser.add_argument("--target", default="test_accuracy")
    parser.add_argument("--activation")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("learning_curve.jsonl"), help="the file of fits")
    parser.add_argument("--figure", type=Path, default=Path("learning_curve.png"))
    options = parser.parse_args()

    networks = join_networks(
        {
            folder.resolve().name: read_networks(folder, column=options.target, activation=options.activation)
            for folder in options.zoo
        }
    )
    held_out = positions(networks.runs, "test", 0)
    test, apart = networks.select(held_out), set(held_out)
    pool = [position for position in range(len(networks)) if position not in apart]
    if max(options.sizes) > len(pool):
        parser.error(f"only {len(pool)} networks are left to train on")
    forward_pass = known_forward_pass(options.zoo[0], networks.point.architecture) or ForwardPass()
    budget = FitSettings(options.epochs, options.batch_size, validation=options.validation, patience=options.patience)
    results = read_results(options.out)
    for size in sorted(options.sizes):
        for seed in range(options.seeds):
            train = networks.select(draw(networks, pool, size, seed))
            task = Task(forward_pass, options.members, replace(budget, seed=seed), options.device)
            for method in options.methods:
                if (method, size, seed) in results:
                    continue
                started = time.process_time()
                logits = METHODS[method](train, test, task)
                seconds = time.process_time() - started
                fit = Fitted(method, size, seed, len(set(train.runs)), seconds, tuple(logits.tolist()))
                results[fit.key] = fit
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(fit)) + "\n")
                print(f"{method}, {size} networks, seed {seed}: tau {taus([fit], test)[0]:.3f}", file=sys.stderr)
    print(f"{options.members} members; tau on {len(test)} networks of {len(set(test.runs))} test runs")
    draw_figure(print_tables(list(results.values()), test, options.ours), options.figure)
    print(f"figure: {options.figure}")


if __name__ == "__main__":
    main()
