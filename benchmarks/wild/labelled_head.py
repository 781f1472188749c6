"""Monomial-NFN for any architecture beside Any-Classifier, on residual networks of wild zoos.

    nfn zoo wild --data mnist.npz --count 300 --seed 11 --budget 30 -o dev-mnist    # and so on
    python benchmarks/wild/residual_runs.py residual-31 mnist.npz cifar10_gray.npz cifar10_color.npz --seed 31
    python benchmarks/wild/labelled_head.py dev-mnist dev-cifar10_gray dev-cifar10_color twenty residual-31/* --cache c

All rows of the families `residual` and `resnet20` are dealt into five folds by run (by the network that several runs
share; runs of one seed and number on several image sets count as one, since they share network and recipe). Each head
is fitted to four folds and predicts the fifth:

- `monomial-any`: the weights alone, by layers derived from labels;
- `any-classifier, weights alone`: as if it were not known how the networks are run;
- the same from chance: what its members say is added to the logit of 1 / classes, as in `monomial-any`;
- `any-classifier`: with answers to probe pictures;
- chance: 1 / classes, of which nothing is fitted.

Prints Kendall's τ over all networks and within tasks, with 95 % bootstrap intervals over runs, the mean absolute error,
and by how much each is ahead of the first, by the same draws of runs. `--fold K` fits and predicts one fold only, for
processes side by side; what is read and predicted is kept in the cache. `--fresh FOLDER` names the folder whose zoos
the shipped `any-classifier` was not fitted to; on these its predictions stand beside the others.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from baselines import paired
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.read_classifier import read_classifier
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.learning import bootstrap, kendall_tau
from nfn_cli.learning.any_classifier.fit import fit_any_classifier
from nfn_cli.learning.any_classifier.loss import any_loss
from nfn_cli.learning.any_classifier.measured import Metric, mean_tau, places_by_value
from nfn_cli.learning.any_classifier.settings import any_fit_settings
from nfn_cli.learning.fitting import fit_member
from nfn_cli.learning.labelled_nfn.fit import fit_monomial_any
from nfn_cli.learning.metrics import mean_absolute_error
from nfn_cli.nn import load_head
from nfn_cli.nn.any_classifier.any_classifier import member_inputs
from nfn_cli.nn.any_classifier.any_member import AnyMember
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics, joined_statistics
from nfn_cli.nn.any_classifier.statistics_of import statistics_of
from nfn_cli.nn.any_networks import AnyNetworks
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAnySizes
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks, NetworkFields
from nfn_cli.nn.labelled_nfn.reading import read_fields
from nfn_cli.zoo.listed_classifiers import ListedClassifier, Place, listed_classifiers, opened
from nfn_cli.zoo.record import read_yaml

FAMILIES = ("residual", "resnet20")
FOLDS = 5
_FEWEST = 15  # networks of a task


@dataclass(frozen=True)
class Read:
    """One network, three times.

    Attributes:
        fields: as Monomial-NFN reads it.
        statistics, unrun: as Any-Classifier does, when it is known how it is run, and when it is not.
    """

    fields: NetworkFields
    statistics: NetworkStatistics
    unrun: NetworkStatistics


def read_one(place: Place, tracer: NetworkTracer) -> Read:
    network = read_classifier(opened(place), None, tracer)
    unrun = statistics_of(replace(network, module=None, picture=None))
    return Read(read_fields(opened(place), Stated(), tracer), statistics_of(network), unrun)


def rows_of(zoos: Sequence[Path]) -> list[tuple[ListedClassifier, str]]:
    """Rows of the families, each with the run that it counts as."""
    found = []
    for zoo in zoos:
        record = read_yaml(zoo) or {}
        seed, each = record.get("seed", zoo.resolve().parent.name), record.get("per_network", 1)
        rows = [row for row in listed_classifiers([zoo]) if row.family in FAMILIES]
        found += [(row, f"{seed}/{int(row.label.run) // each}") for row in rows]
    return found


def cached(rows: Sequence[ListedClassifier], cache: Path) -> list[Read]:
    """What is read of networks; each is read once."""
    tracer, found = NetworkTracer(), []
    for row in rows:
        path = row.place.path
        file = cache / f"{'-'.join(path.parts[-4:])}.pt"
        if not file.exists():
            torch.save(read_one(row.place, tracer), file)
        found.append(torch.load(file, weights_only=False))
    return found


Method = Callable[[Sequence[Read], Sequence[Read], Tensor, Sequence[str], argparse.Namespace], Tensor]


def by_monomial(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, runs: Sequence[str], how: argparse.Namespace
) -> Tensor:
    """Logits of Monomial-NFN."""
    settings = any_fit_settings("monomial-any", epochs=how.epochs)
    own = [LabelledNetworks(tuple(one.fields for one in part)) for part in (train, test)]
    sizes = MonomialAnySizes(members=how.members)
    return _logits(fit_monomial_any(own[0], targets, runs, sizes, settings.fit), own[1])


def by_any(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, runs: Sequence[str], how: argparse.Namespace
) -> Tensor:
    """Logits of Any-Classifier."""
    settings = any_fit_settings(members=how.members)
    own = [joined_statistics([one.statistics for one in part]) for part in (train, test)]
    return _logits(fit_any_classifier(own[0], targets, runs, settings, unasked=False), own[1])


def by_unrun(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, runs: Sequence[str], how: argparse.Namespace
) -> Tensor:
    """The same of members that look at no answers, as those for networks that are not run."""
    return _without_answers(train, test, targets, how, from_chance=False)


def by_unrun_from_chance(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, runs: Sequence[str], how: argparse.Namespace
) -> Tensor:
    """The same, added to the logit of chance."""
    return _without_answers(train, test, targets, how, from_chance=True)


class _FromChance(nn.Module):
    """A member whose last input is the logit of chance."""

    def __init__(self, member: AnyMember) -> None:
        super().__init__()
        self.member = member

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        self.member.fit_normalisation(inputs[:-1])

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        found: Tensor = self.member(inputs[:-1]) + inputs[-1]
        return found


def _without_answers(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, how: argparse.Namespace, *, from_chance: bool
) -> Tensor:
    settings = any_fit_settings(members=how.members)
    own = [joined_statistics([one.unrun for one in part]) for part in (train, test)]
    first, last = ([*member_inputs(part), from_chance * chance(part)] for part in own)
    torch.manual_seed(settings.fit.seed)
    logits = []
    for number in range(how.members):
        member = _FromChance(
            AnyMember(settings.sizes.width, settings.sizes.hidden, settings.sizes.dropout, answers=False)
        )
        fit_member(member, first, targets, settings.fit, number, loss=any_loss)
        with torch.no_grad():
            logits.append(member(last).double())
    return torch.stack(logits).mean(0)


def chance(networks: NetworkStatistics) -> Tensor:
    """Its logit [networks]."""
    return -(networks.classes - 1).clamp_min(1).float().log()


def by_chance(
    train: Sequence[Read], test: Sequence[Read], targets: Tensor, runs: Sequence[str], how: argparse.Namespace
) -> Tensor:
    """The logit of chance alone."""
    return chance(joined_statistics([one.unrun for one in test])).double()


@torch.inference_mode()
def _logits(model: Callable[[AnyNetworks], object], networks: AnyNetworks) -> Tensor:
    said = model(networks)
    found: Tensor = said.logits  # type: ignore[attr-defined]
    return found.double().clone()


METHODS: dict[str, Method] = {
    "monomial-any": by_monomial,
    "any-classifier, weights alone": by_unrun,
    "any-classifier, weights alone, from chance": by_unrun_from_chance,
    "any-classifier": by_any,
    "chance": by_chance,
}


def folds_of(runs: Sequence[str]) -> list[int]:
    """The fold of each network."""
    names = sorted(set(runs))
    random.Random(0).shuffle(names)
    place = {name: number % FOLDS for number, name in enumerate(names)}
    return [place[run] for run in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="+", type=Path, metavar="ZOO")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument("--members", type=int, default=1, help="of every head (1)")
    parser.add_argument("--epochs", type=int, default=25, help="of monomial-any (25)")
    parser.add_argument("--fresh", metavar="FOLDER", help="of zoos that the shipped head has not seen")
    parser.add_argument("--fold", type=int, choices=range(FOLDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    listed = rows_of(arguments.zoos)
    rows, runs = [row for row, _ in listed], [run for _, run in listed]
    targets = torch.tensor([row.label.target for row in rows], dtype=torch.float64)
    read = cached(rows, arguments.cache)
    fold = folds_of(runs)
    said = {name: torch.zeros(len(rows), dtype=torch.float64) for name in METHODS}
    for number in range(FOLDS) if arguments.fold is None else [arguments.fold]:
        train = [place for place, own in enumerate(fold) if own != number]
        test = [place for place, own in enumerate(fold) if own == number]
        for name, method in METHODS.items():
            made = f"{name}-{number}-{arguments.members}-{arguments.epochs}-{len(rows)}".replace(", ", "-")
            file = arguments.cache / f"{made.replace(' ', '-')}.said"
            if not file.exists():
                start = time.monotonic()
                chosen = [[read[place] for place in part] for part in (train, test)]
                logits = method(*chosen, targets[train], [runs[place] for place in train], arguments)
                torch.save(logits, file)
                print(f"fold {number}: {name} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
            said[name][test] = torch.load(file, weights_only=True)
    if arguments.fold is None:
        _print(said, targets, runs, [row.task for row in rows])
        fresh = [place for place, run in enumerate(runs) if run.startswith(f"{arguments.fresh}/")]
        if fresh:
            shipped = load_head("any-classifier").predict(
                joined_statistics([read[place].statistics for place in fresh])
            )
            print("\nof the folder that the shipped head has not seen:")
            some = {name: logits[fresh] for name, logits in said.items()}
            some["the shipped any-classifier"] = shipped.accuracy.logit(1e-6)
            _print(some, targets[fresh], [runs[place] for place in fresh], [rows[place].task for place in fresh])


def _print(said: dict[str, Tensor], targets: Tensor, runs: Sequence[str], tasks: Sequence[str]) -> None:
    groups = [torch.tensor(places) for places in places_by_value(tasks).values() if len(places) >= _FEWEST]
    metrics: list[tuple[str, Metric]] = [("τ", kendall_tau)]
    if groups:
        metrics.append((f"τ within {len(groups)} tasks", mean_tau(groups)))
    print(f"{len(targets)} networks of {len(set(runs))} runs")
    ours = said["monomial-any"].sigmoid()
    for name, logits in said.items():
        own = logits.sigmoid()
        cells = [f"{title} {bootstrap(metric, targets, own, runs)}" for title, metric in metrics]
        cells.append(f"error {bootstrap(mean_absolute_error, targets, own, runs)}")
        if name != "monomial-any":
            cells += [f"{title}: ahead by {paired(metric, targets, own, ours, runs)}" for title, metric in metrics]
        print(f"{name}: " + "; ".join(cells))


if __name__ == "__main__":
    main()
