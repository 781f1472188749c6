"""How well weights tell generalisation when symmetries move them: Monomial-NFN against what one would otherwise take.

One table and one figure: Kendall's τ on held-out training runs for every method (rows), on networks as they are and
with copies moved along their orbits (columns), in the manner of arXiv 2409.11697, tables 2 and 3.

- Population: one zoo or several for each activation, made by `nfn zoo cnn`. One split by run: 70 % train, 12 %
  calibration, 18 % test.
- Moved: each network of all three parts appears once as it is and once acted on by a random element: permutations, and
  under ReLU scales drawn uniformly from [1, s], under tanh signs. Heads that are invariant by construction meet the
  same input twice, up to rounding; they are fitted once, without copies, and measured in every setting.
- Budget: the same steps, batch size, optimiser (AdamW) and schedule (one cycle) for all that is trained step by step:
  `--epochs` passes over the networks as they are, or half as many over these and their moved copies. The weights of the
  epoch with the least loss on the calibration part are kept. NP and HNP take the paper's learning rate of 1e-3, the
  others the better of two by the same loss. Trees have a budget of their own: 300 trees.
- Cost: with 2,400 checkpoints of each activation about an hour on one core, nearly all of it for NP and HNP, and
  another half for ScaleGMN and ProbeGen. `--settings` and `--methods` do a part at a time, in the order given.
- Results are kept in the folder `--out`: a line of `results.jsonl` and a file of predictions for every method, setting
  and seed. What is there is not done again; `--table` prints from it alone.

    nfn zoo cnn --data cifar10 --activation relu --count 800 --epochs 2 --epochs 4 --epochs 8 --packed --out zoo-relu
    nfn zoo cnn --data cifar10 --activation tanh --count 800 --epochs 2 --epochs 4 --epochs 8 --packed --out zoo-tanh
    pip install 'nfn-cli[bench]'
    python benchmarks/generalization --relu zoo-relu --tanh zoo-tanh --out results
    python benchmarks/generalization --table --out results
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

import torch
from agreement import tau
from figure import draw_figure
from fitting import Fitted, predict_all
from methods import METHODS
from population import fingerprint, part_in, read_zoos
from results import Cache, Ranking, Result
from settings import SETTINGS, Budget, Setting
from table import print_table

from nfn_cli.errors import NfnError, UsageError
from nfn_cli.zoo import LabelledNetworks

_FORWARD_REPEATS = 3


def measure(
    cache: Cache, networks: LabelledNetworks, population: str, name: str, todo: list[Setting], budget: Budget, seed: int
) -> None:
    """Fit a method for settings that share a fit, measure it in each, and keep the results."""
    setting = SETTINGS[todo[0].activation] if METHODS[name].invariant else todo[0]
    train = part_in(networks, "train", setting)
    fitted = METHODS[name].fit(train, part_in(networks, "calibration", setting), budget.within(setting), seed)
    for shown in todo:
        test = part_in(networks, "test", shown)
        predicted, forward = _timed(fitted, test)
        ranking = Ranking(test.targets, predicted, test.runs)
        estimate = tau([ranking])
        figures = (estimate.value, estimate.low, estimate.high)
        result = Result(
            method=name,
            activation=shown.activation,
            setting=shown.name,
            seed=seed,
            fit=setting.name,
            population=population,
            epochs=budget.epochs,
            batch_size=budget.batch_size,
            parameters=fitted.parameters,
            learning_rate=fitted.learning_rate,
            epoch=fitted.epoch,
            fit_seconds=fitted.seconds,
            forward_ms=forward,
            train=len(train),
            test=len(test),
            test_runs=len(set(test.runs)),
            tau=tuple(figure if math.isfinite(figure) else None for figure in figures),
        )
        cache.add(result, ranking)
        print(f"{name}, {shown.name}, seed {seed}: tau {estimate}, fit {fitted.seconds:.0f} s", file=sys.stderr)


def _timed(fitted: Fitted, test: LabelledNetworks) -> tuple[torch.Tensor, float]:
    """Predictions, and the least processor time over a few repeats in milliseconds per 1,000 networks."""
    times = []
    for _ in range(_FORWARD_REPEATS):
        start = time.process_time()
        predicted = predict_all(fitted, test.point)
        times.append(time.process_time() - start)
    return predicted, min(times) * 1e6 / len(test)


def fill(cache: Cache, arguments: argparse.Namespace) -> None:
    """Make every result that was asked for and is not there."""
    zoos = {"relu": arguments.relu, "tanh": arguments.tanh}
    wanted = [SETTINGS[name] for name in arguments.settings or SETTINGS]
    if arguments.settings is None:
        wanted = [setting for setting in wanted if zoos[setting.activation] is not None]
    for setting in wanted:
        if zoos[setting.activation] is None:
            raise UsageError(setting.name, "there is no zoo for it", f"give --{setting.activation}")
    if not wanted:
        raise UsageError("--relu, --tanh", "there is no zoo", "give one or both, or --table to print what is kept")
    used = {setting.activation for setting in wanted}
    populations = {name: read_zoos(zoos[name], name, arguments.runs) for name in zoos if name in used}
    names = {activation: fingerprint(networks) for activation, networks in populations.items()}
    budget = Budget(arguments.epochs, arguments.batch_size)
    cache.require_same(names, budget)
    for seed in arguments.seeds:
        for name in arguments.methods:
            missing = [setting for setting in wanted if (name, setting.name, seed) not in cache.results]
            groups: dict[str, list[Setting]] = {}
            for setting in missing:
                groups.setdefault(setting.activation if METHODS[name].invariant else setting.name, []).append(setting)
            for todo in groups.values():
                activation = todo[0].activation
                measure(cache, populations[activation], names[activation], name, todo, budget, seed)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="generalization", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--relu", type=Path, nargs="+", metavar="ZOO", help="zoos of ReLU networks")
    parser.add_argument("--tanh", type=Path, nargs="+", metavar="ZOO", help="zoos of tanh networks")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results, made if missing")
    parser.add_argument("--table", action="store_true", help="only print and draw what is in the folder")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="by default all")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="by default all that the zoos allow")
    parser.add_argument("--ours", choices=METHODS, default=list(METHODS)[-1], help="the row compared with all others")
    parser.add_argument("--epochs", type=_positive, default=24, help="passes over the training networks (24)")
    parser.add_argument("--batch-size", type=_positive, default=32, help="networks a step (32)")
    parser.add_argument("--runs", type=_positive, help="take only so many training runs of each zoo, for a quick trial")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of weights and order, one fit each (0)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main() -> int:
    """Run the benchmark; exit codes as those of `nfn`."""
    arguments = parse()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # scikit-learn counts cores on its own account
    try:
        cache = Cache(arguments.out)
        if not arguments.table:
            fill(cache, arguments)
        print_table(cache, arguments.ours, sys.stdout)
        sys.stdout.flush()
        print(f"figure: {draw_figure(cache, arguments.ours)}", file=sys.stderr)
    except NfnError as error:
        print(f"generalization: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
