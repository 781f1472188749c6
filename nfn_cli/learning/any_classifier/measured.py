"""How well predictions agree with the accuracies of classifiers of several tasks, and how well any could."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from nfn_cli.learning.metrics import Estimate, bootstrap, kendall_tau, mean_absolute_error, r_squared, share
from nfn_cli.nn.tasks.accuracy import Predictions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

# Fewer networks of a task say little about the order within it.
FEWEST_OF_TASK = 20

SomePredictions = TypeVar("SomePredictions", bound=Predictions)
Metric = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Agreement:
    """Predictions against true accuracies, with 95 % bootstrap intervals over runs.

    Attributes:
        name: of these networks, such as a task; empty for all.
        networks, runs: how many.
        tau: Kendall's τ.
        ceiling: τ between the accuracies on two halves of the test images, see `label_ceiling`; None where they are
            not known.
        r_squared, mean_absolute_error: of the predictions.
        against_constant: their mean absolute error, divided by that of the constant that errs least on these networks.
        coverage: share of accuracies inside the interval. width: median of the intervals.
        flagged: share out of distribution. inside: coverage of the others, None if all are flagged.
    """

    name: str
    networks: int
    runs: int
    tau: Estimate
    ceiling: Estimate | None
    r_squared: Estimate
    mean_absolute_error: Estimate
    against_constant: Estimate
    coverage: Estimate
    width: float
    flagged: Estimate
    inside: Estimate | None


@dataclass(frozen=True)
class WithinTasks:
    """The mean over `tasks` tasks, each with the same weight, of Kendall's τ among the networks of a task.

    `ceiling` is as in `Agreement`; only tasks of at least `fewest` networks count.
    """

    tasks: int
    fewest: int
    tau: Estimate
    ceiling: Estimate | None


def agreement(networks: LabelledClassifiers, said: Predictions, name: str = "") -> Agreement:
    """What predictions for some networks are worth.

    Args:
        said: predictions of all of them.
    """
    truth, runs = networks.targets, networks.runs
    estimate = partial(_estimate, truth=truth, runs=runs)
    known = said.in_distribution.nonzero()[:, 0].tolist()
    covered = (said.low <= truth) & (truth <= said.high)
    constant = mean_absolute_error(truth, truth.median().expand_as(truth))
    return Agreement(
        name=name,
        networks=len(networks),
        runs=len(set(runs)),
        tau=estimate(kendall_tau, predicted=said.accuracy),
        ceiling=_ceiling(kendall_tau, networks),
        r_squared=estimate(r_squared, predicted=said.accuracy),
        mean_absolute_error=estimate(mean_absolute_error, predicted=said.accuracy),
        against_constant=estimate(_error_over(constant), predicted=said.accuracy),
        coverage=estimate(share, predicted=covered),
        width=(said.high - said.low).median().item(),
        flagged=estimate(share, predicted=~said.in_distribution),
        inside=bootstrap(share, truth[known], covered[known], [runs[place] for place in known]) if known else None,
    )


def by_column(networks: LabelledClassifiers, said: Predictions, column: str) -> tuple[Agreement, ...]:
    """`agreement` for the networks of each value of a column, the values in alphabetical order; without those that the
    table says nothing of, and without values of fewer than two different accuracies."""
    return tuple(
        agreement(networks.select(places), chosen(said, places), value)
        for value, places in places_by_value(networks.column(column)).items()
        if len(networks.targets[places].unique()) > 1
    )


def within_tasks(networks: LabelledClassifiers, predicted: Tensor, fewest: int = FEWEST_OF_TASK) -> WithinTasks | None:
    """The mean of τ over tasks of at least `fewest` networks; None where there are none.

    Args:
        predicted: accuracies [N].
    """
    groups = task_groups(networks, fewest)
    if not groups:
        return None
    metric = mean_tau(groups)
    return WithinTasks(
        tasks=len(groups),
        fewest=fewest,
        tau=bootstrap(metric, networks.targets, predicted, networks.runs),
        ceiling=_ceiling(metric, networks),
    )


def task_groups(networks: LabelledClassifiers, fewest: int = FEWEST_OF_TASK) -> list[Tensor]:
    """Positions of the networks of each task of at least `fewest` networks and two accuracies."""
    return [
        torch.tensor(places)
        for places in places_by_value(networks.tasks).values()
        if len(places) >= fewest and len(networks.targets[places].unique()) > 1
    ]


def places_by_value(values: Sequence[str]) -> dict[str, list[int]]:
    """Where each value stands, in alphabetical order; empty ones are left out.

    >>> places_by_value(["b", "a", "", "b"])
    {'a': [1], 'b': [0, 3]}
    """
    found: dict[str, list[int]] = {value: [] for value in sorted(Counter(values)) if value}
    for place, value in enumerate(values):
        if value:
            found[value].append(place)
    return found


def chosen(said: SomePredictions, places: Sequence[int]) -> SomePredictions:
    """The predictions at some places."""
    parts: Mapping[str, Tensor] = vars(said)
    return type(said)(**{name: own[list(places)] for name, own in parts.items()})


def _estimate(metric: Metric, *, predicted: Tensor, truth: Tensor, runs: Sequence[str]) -> Estimate:
    return bootstrap(metric, truth, predicted, runs)


def _ceiling(metric: Metric, networks: LabelledClassifiers) -> Estimate | None:
    if not networks.has_halves:
        return None
    even, odd = networks.halves.unbind(1)
    return bootstrap(metric, even, odd, networks.runs)


def mean_tau(groups: Sequence[Tensor]) -> Metric:
    """The mean over groups of positions of τ within a group."""

    def metric(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
        values = [
            kendall_tau(truth[places], predicted[places], None if weights is None else weights[..., places])
            for places in groups
        ]
        return torch.stack(values).nanmean(0)  # a draw may hold no run of a task

    return metric


def _error_over(constant: Tensor) -> Metric:
    def metric(truth: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
        return mean_absolute_error(truth, predicted, weights) / constant

    return metric
