"""A head for any classifier against statistics of raw weights, on the same networks and the same split by run.

    pip install 'nfn-cli[bench]'
    nfn train wild-mnist wild-cifar10 --kind any-classifier --output any-head
    python benchmarks/wild/baselines.py any-head wild-mnist wild-cifar10

Where their statistics are stored (`statistics_file.py`), a head is fitted to those of the training runs here:

    python benchmarks/wild/baselines.py --statistics benchmarks/wild/statistics/wild-2.npz wild-mnist wild-cifar10

STATNN (Unterthiner et al. 2020, arXiv 2002.11448) takes the mean, the variance and five quantiles of the weights and of
the biases of every layer. Layers here are of any number, so each of these is aggregated over them: first, last, mean,
least and largest. An MLP and two kinds of trees are fitted to that. They train on the runs that the head was fitted to,
and all are measured on the runs that it kept for testing.

Prints Kendall's τ over all networks, and the mean over tasks of τ within a task, with 95 % bootstrap intervals over
runs, and how far the head is ahead: paired, by the same draws of runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from statistics_file import read_statistics
from torch import Tensor

from nfn_cli.architectures.read_classifier import read_classifier
from nfn_cli.errors import DataError, NfnError
from nfn_cli.learning import Estimate, FitSettings, bootstrap, fit_member, kendall_tau
from nfn_cli.learning.any_classifier.fit import AnyFitSettings, fit_any_classifier
from nfn_cli.learning.any_classifier.measured import Metric, mean_tau, task_groups
from nfn_cli.learning.splits import positions
from nfn_cli.learning.tasks.accuracy import positions_of_split
from nfn_cli.nn import Head, load_head
from nfn_cli.nn.baselines import BoostedTrees, VectorMLP
from nfn_cli.processors import processors
from nfn_cli.zoo.labels import RUN_COLUMN
from nfn_cli.zoo.listed_classifiers import (
    LabelledClassifiers,
    ListedClassifier,
    listed_classifiers,
    opened,
    read_classifiers,
)

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_TREES = 500

Fit = Callable[[Tensor, Tensor, int], Callable[[Tensor], Tensor]]


def layer_vector(tensors: Sequence[Tensor]) -> Tensor:
    """Statistics of one network's raw weights, aggregated over its layers; float32 [70].

    Args:
        tensors: of all its tensors, in order of depth: matrices and kernels count as weights, vectors as biases.
    """
    parts = []
    for kind in (True, False):
        layers = [_seven(own) for own in tensors if (own.ndim > 1) is kind] or [torch.zeros(7)]
        rows = torch.stack(layers)
        parts += [rows[0], rows[-1], rows.mean(0), rows.amin(0), rows.amax(0)]
    return torch.cat(parts).nan_to_num(0.0, 1e6, -1e6).clamp(-1e6, 1e6)


def _seven(tensor: Tensor) -> Tensor:
    entries = tensor.double().flatten().numpy()
    return torch.tensor([entries.mean(), entries.var(), *np.quantile(entries, _QUANTILES)]).float()


def fit_mlp(rows: Tensor, accuracies: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """STATNN's MLP; predicts logits."""
    torch.manual_seed(seed)
    model = VectorMLP(rows.shape[1], hidden=256)
    fit_member(model, [rows], accuracies, FitSettings(learning_rate=1e-3, weight_decay=1e-2), seed)

    def predict(other: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = model([other])
        return found.double()

    return predict


def fit_boosted(rows: Tensor, accuracies: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """Gradient-boosted trees; predict accuracies."""
    trees = BoostedTrees(seed=seed)
    trees.fit([rows], accuracies)
    return lambda other: trees([other])


def fit_extra_trees(rows: Tensor, accuracies: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """Extremely randomised trees; predict accuracies."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.5, random_state=seed)
    trees.fit(rows.numpy(), accuracies.numpy())
    return lambda other: torch.from_numpy(trees.predict(other.numpy())).double()


METHODS: dict[str, Fit] = {
    "STATNN-like, MLP": fit_mlp,
    "STATNN-like, boosted trees": fit_boosted,
    "STATNN-like, extra trees": fit_extra_trees,
}


def compare(head: Head, rows: Sequence[ListedClassifier], seed: int) -> list[tuple[str, ...]]:
    """A line for each method: its name, τ, τ within tasks, and by how much the head is ahead in both."""
    runs = [row.label.run for row in rows]
    test_at = positions_of_split(runs, "test", head, Path("the zoos"))
    train_at = positions(runs, "train", head.config.fitted["split_seed"])
    truth = torch.tensor([row.label.target for row in rows], dtype=torch.float64)
    test = read_classifiers([rows[position] for position in test_at], workers=processors())
    vectors = torch.stack([_vector_of(row) for row in rows])
    return _lines(head.name, head.predict(test.statistics).accuracy, test, vectors, truth, train_at, test_at, seed)


def compare_stored(stored: LabelledClassifiers, zoos: Sequence[Path], seed: int) -> list[tuple[str, ...]]:
    """The same of networks whose statistics are stored; a head is fitted to those of the training runs."""
    folders = {folder.resolve().name: folder for folder in zoos}
    missing = {place.path.parts[0] for place in stored.places} - set(folders)
    if missing:
        raise DataError(sorted(missing)[0], "is not among the zoos", "give the folders of all networks")
    train_at, test_at = (positions(stored.runs, part, seed) for part in ("train", "test"))
    vectors = torch.stack(
        [
            layer_vector(
                list(read_classifier(folders[own.path.parts[0]].joinpath(*own.path.parts[1:])).tensors.values())
            )
            for own in stored.places
        ]
    )
    test = stored.select(test_at)
    runs = [stored.runs[position] for position in train_at]
    model = fit_any_classifier(
        stored.statistics.select(train_at), stored.targets[train_at], runs, AnyFitSettings(), unasked=False
    )
    with torch.inference_mode():
        ours = model(test.statistics).logits.double().sigmoid()
    return _lines("Any-Classifier", ours, test, vectors, stored.targets, train_at, test_at, seed)


def _lines(
    name: str,
    ours: Tensor,
    test: LabelledClassifiers,
    vectors: Tensor,
    truth: Tensor,
    train_at: Sequence[int],
    test_at: Sequence[int],
    seed: int,
) -> list[tuple[str, ...]]:
    metrics: list[Metric] = [kendall_tau]
    if groups := task_groups(test):
        metrics.append(mean_tau(groups))
    lines = [(name, *(str(bootstrap(own, test.targets, ours, test.runs)) for own in metrics))]
    for method, fit in METHODS.items():
        theirs = fit(vectors[train_at], truth[train_at], seed)(vectors[test_at])
        own = [str(bootstrap(metric, test.targets, theirs, test.runs)) for metric in metrics]
        ahead = [str(paired(metric, test.targets, ours, theirs, test.runs)) for metric in metrics]
        lines.append((method, *own, *ahead))
    return lines


def paired(metric: Metric, truth: Tensor, ours: Tensor, theirs: Tensor, runs: Sequence[str]) -> Estimate:
    """How much larger a metric is of our predictions than of theirs, by the same draws of runs."""

    def difference(truth: Tensor, both: Tensor, weights: Tensor | None = None) -> Tensor:
        return metric(truth, both[:, 0], weights) - metric(truth, both[:, 1], weights)

    return bootstrap(difference, truth, torch.stack([ours, theirs], 1), runs)


def _vector_of(row: ListedClassifier) -> Tensor:
    return layer_vector(list(read_classifier(opened(row.place)).tensors.values()))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="+", metavar="HEAD ZOO", help="a head, and the zoos that it was fitted to")
    parser.add_argument("--statistics", type=Path, help="of the zoos; then no head is named")
    parser.add_argument("--target", default="test_accuracy", help="column with the accuracy (test_accuracy)")
    parser.add_argument("--seed", type=int, default=0, help="of the baselines' fits (0)")
    arguments = parser.parse_args()
    try:
        if arguments.statistics is not None:
            stored = read_statistics([arguments.statistics])
            lines = compare_stored(stored, [Path(zoo) for zoo in arguments.zoos], arguments.seed)
        else:
            head = load_head(arguments.zoos[0], task="predict-accuracy")
            run_column = head.config.fitted.get("run_column", RUN_COLUMN)
            zoos = [Path(zoo) for zoo in arguments.zoos[1:]]
            lines = compare(
                head, listed_classifiers(zoos, column=arguments.target, run_column=run_column), arguments.seed
            )
    except NfnError as error:
        print(f"baselines: {error}", file=sys.stderr)
        return error.exit_code
    for line in lines:
        print("  ".join(cell.ljust(28 if place == 0 else 22) for place, cell in enumerate(line)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
