"""Measure a head on labelled networks, as they are and moved along their orbits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError, HeadError, shown
from nfn_cli.learning.batches import batches
from nfn_cli.learning.metrics import Estimate, bootstrap, kendall_tau, mean_absolute_error, r_squared, share
from nfn_cli.learning.outsiders import OutsiderReport, made_outsiders, read_outsiders
from nfn_cli.learning.splits import positions
from nfn_cli.nn import Head, Predictions, load_head
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import LabelledNetworks, read_networks
from nfn_cli.zoo.labels import RUN_COLUMN

_CHANCE_MARGIN = 0.005
_LEARNED_MARGIN = 0.1
_HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class EvaluateSettings:
    """What to measure. `samples` elements are drawn for each network, scales log-uniform in `scale_range`.

    `outsiders` are folders of other populations by their names, see `read_outsiders`.
    """

    split: Literal["test", "all"] = "test"
    scale_range: tuple[float, float] = (1.0, 1e4)
    samples: int = 1
    seed: int = 0
    column: str = "test_accuracy"
    run_column: str | None = None  # None: the one that the head was fitted with
    activation: str | None = None
    outsiders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """Predictions against true accuracies: 95 % bootstrap intervals over runs.

    `coverage` is the share of true accuracies inside the head's interval, `flagged` the share of networks that the head
    finds outside its population.
    """

    tau: Estimate
    r_squared: Estimate
    mean_absolute_error: Estimate
    coverage: Estimate
    flagged: Estimate


@dataclass(frozen=True)
class EvaluationReport:
    """A head measured on `networks` networks of `runs` runs.

    Attributes:
        plain, moved: agreement on the networks as they are, and after random group elements.
        tau_drop: τ plain − τ moved.
        drift: the largest change of a prediction under an element, divided by the predictions' standard deviation.
        flags_changed: networks whose population flag differs after an element.
        chance_share: share of networks no better than chance (within 0.005 of 1 / classes, or below).
        histogram: counts of true accuracies in ten equal bins from `histogram_range[0]` to `histogram_range[1]`.
        outsiders: shares flagged of networks made of these, then of the other populations that were given.
    """

    head: str
    networks: int
    runs: int
    scale_range: tuple[float, float]
    samples: int
    level: float
    plain: Agreement
    moved: Agreement
    tau_drop: float
    drift: float
    flags_changed: int
    chance_share: float
    histogram: tuple[int, ...]
    histogram_range: tuple[float, float]
    outsiders: tuple[OutsiderReport, ...]


def evaluate_head(
    name: str,
    data: Path,
    labels: Path | None = None,
    settings: EvaluateSettings | None = None,
    device: str = "cpu",
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EvaluationReport:
    """Measure a head (a shipped name or a folder) on labelled checkpoints.

    With `split="test"` only the runs count that the head's own split keeps for testing, so that a zoo it was fitted on
    can be given whole; for networks it never saw use `split="all"`.

    `on_stage` is told what comes next, such as `reading`.

    In one process, the same head, data and settings give the same report bit for bit. That of `train_head`, or of
    another process, is repeated up to rounding, see `Head.predict`: R² and errors within 1e-7 (2e-9 was measured where
    products were summed in another order), and the drift, which is itself of rounding, within 1e-6.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data.
    """
    settings = settings or EvaluateSettings()
    on_stage("reading")
    head = load_head(name, device, task="predict-accuracy")
    others = read_outsiders(
        settings.outsiders, head.config.accepted, column=settings.column, activation=settings.activation
    )
    networks = read_networks(
        data,
        labels,
        column=settings.column,
        run_column=settings.run_column or head.config.fitted.get("run_column", RUN_COLUMN),
        activation=settings.activation,
        default_activation=head.config.accepted.activation,
    )
    if settings.split == "test":
        chosen = positions(networks.runs, "test", _split_seed(head))
        if not chosen:
            raise DataError(data, "none of its runs belong to the head's test split", "use --split all")
        networks = networks.select(chosen)
    require_spread(networks, data)
    return measure(head, networks, settings, others, on_stage=on_stage)


def require_spread(networks: LabelledNetworks, data: Path) -> None:
    """Check, before long work, that there is something to rank.

    Raises:
        DataError: fewer than two different accuracies.
    """
    if len(networks.accuracies.unique()) < 2:
        cause = f"the accuracies to measure on are all equal ({len(networks)} networks)"
        raise DataError(data, cause, "give more networks, of different accuracies")


def _split_seed(head: Head) -> int:
    seed = head.config.fitted.get("split_seed", 0)
    if not isinstance(seed, int):
        raise HeadError(head.name, f"its split_seed is {shown(seed)}", "use --split all, or fit the head again")
    return seed


def measure(
    head: Head,
    networks: LabelledNetworks,
    settings: EvaluateSettings,
    others: Mapping[str, LabelledNetworks] | None = None,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EvaluationReport:
    """Measure a loaded head on networks in memory.

    Args:
        others: outsiders from other populations by their names; those of `settings` are not read here.
        on_stage: told what comes next, such as `predicting moved networks` or `bootstrap`.

    Raises:
        DataError: a network for which the head gives no finite prediction.
        HeadError: the head does not read them.
    """
    on_stage("predicting")
    plain = _predict(head, networks.point, networks.files)
    generator = torch.Generator().manual_seed(settings.seed)
    # In float64, so that what is measured is the head: a scaled weight may leave the range of float32.
    point = NetworkWeights(
        networks.point.architecture, {name: tensor.double() for name, tensor in networks.point.tensors.items()}
    )
    moved = []
    for sample in range(settings.samples):
        on_stage("predicting moved networks" + f", {sample + 1} of {settings.samples}" * (settings.samples > 1))
        element = sample_element(
            point.architecture, generator, batch=(len(networks),), scale_range=settings.scale_range
        )
        moved.append(_predict(head, act(element, point), networks.files))
    stacked = _concatenated(moved)
    truth = networks.accuracies
    on_stage("bootstrap")
    before = _agreement(truth, plain, networks.runs)
    after = _agreement(truth.repeat(settings.samples), stacked, networks.runs * settings.samples)
    change = (stacked.accuracy - plain.accuracy.repeat(settings.samples)).abs().max()
    flags = stacked.in_distribution != plain.in_distribution.repeat(settings.samples)
    chance = 1 / networks.point.architecture.layers[-1].out_features
    low, high = truth.min().item(), truth.max().item()
    spread = plain.accuracy.std(correction=0)
    return EvaluationReport(
        head=head.name,
        networks=len(networks),
        runs=len(set(networks.runs)),
        scale_range=settings.scale_range,
        samples=settings.samples,
        level=head.config.details.level,
        plain=before,
        moved=after,
        tau_drop=before.tau.value - after.tau.value,
        drift=(change / spread).item() if change > 0 else 0.0,
        flags_changed=int(flags.sum()),
        chance_share=(truth <= chance + _CHANCE_MARGIN).double().mean().item(),
        histogram=tuple(int(count) for count in torch.histc(truth, _HISTOGRAM_BINS, low, high).tolist()),
        histogram_range=(low, high),
        outsiders=_outsiders(head, networks, others or {}, settings.seed, on_stage),
    )


def _outsiders(
    head: Head,
    networks: LabelledNetworks,
    others: Mapping[str, LabelledNetworks],
    seed: int,
    on_stage: Callable[[str], None],
) -> tuple[OutsiderReport, ...]:
    made = {kind: replace(networks, point=point) for kind, point in made_outsiders(networks.point, seed).items()}
    found = []
    for kind, outsiders in (made | dict(others)).items():
        on_stage(f"outsiders: {kind}")
        found.append(_flagged(head, kind, outsiders))
    return tuple(found)


def _flagged(head: Head, kind: str, outsiders: LabelledNetworks) -> OutsiderReport:
    flags = torch.cat([~head.predict(batch).in_distribution for batch in batches(outsiders.point)])
    chance = 1 / outsiders.point.architecture.layers[-1].out_features
    trained = (outsiders.accuracies > chance + _LEARNED_MARGIN).nonzero()[:, 0].tolist()
    runs = [outsiders.runs[position] for position in trained]
    return OutsiderReport(
        kind=kind,
        networks=len(outsiders),
        runs=len(set(outsiders.runs)),
        flagged=bootstrap(share, outsiders.accuracies, flags, outsiders.runs),
        trained=len(trained),
        trained_flagged=bootstrap(share, outsiders.accuracies[trained], flags[trained], runs) if trained else None,
    )


def _predict(head: Head, point: NetworkWeights, files: Sequence[str]) -> Predictions:
    """Predict a population of any size, a batch at a time."""
    predictions = _concatenated([head.predict(batch) for batch in batches(point)])
    bad = (~predictions.accuracy.isfinite()).nonzero()
    if len(bad):
        raise DataError(
            files[int(bad[0])], "the prediction is not finite: weights beyond float32's range", "leave it out"
        )
    return predictions


def _concatenated(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(*(torch.cat([getattr(part, own.name) for part in parts]) for own in fields(Predictions)))


def _agreement(truth: Tensor, predictions: Predictions, runs: Sequence[str]) -> Agreement:
    inside = (predictions.low <= truth) & (truth <= predictions.high)
    return Agreement(
        tau=bootstrap(kendall_tau, truth, predictions.accuracy, runs),
        r_squared=bootstrap(r_squared, truth, predictions.accuracy, runs),
        mean_absolute_error=bootstrap(mean_absolute_error, truth, predictions.accuracy, runs),
        coverage=bootstrap(share, truth, inside, runs),
        flagged=bootstrap(share, truth, ~predictions.in_distribution, runs),
    )
