"""Measure a head that classifies INRs: on networks as they are, and moved along their orbits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.learning.batches import batches
from nfn_cli.learning.inr.chosen import Split, chosen_inrs
from nfn_cli.learning.metrics import Estimate, bootstrap, share
from nfn_cli.learning.outsiders import gaussian, shuffled
from nfn_cli.nn import Accepted, Classification, Head, load_head
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import LabelledInrs, read_inrs

_BINS = 15


@dataclass(frozen=True)
class ClassReport:
    """A head measured on `networks` INRs of `pictures` pictures; 95 % bootstrap intervals over pictures.

    Attributes:
        accuracy, moved_accuracy: share classified right, as they are and after a random element with phase shifts.
        top3: share whose class is among the three most probable.
        loss: mean cross entropy, in nats.
        calibration_error: expected calibration error over 15 bins of confidence.
        drift: the largest change of a logit under an element, divided by the logits' spread, which is the mean over
            classes of their standard deviation over networks.
        changed: networks whose predicted class is another after an element.
        by_class: share right of every class.
        confused: the commonest mistakes as (true, predicted, networks).
        flagged: share found outside the population.
        flags_changed: networks whose flag is another after an element.
        outsiders: share flagged of networks made of these, and of other zoos, by kind.
    """

    head: str
    networks: int
    pictures: int
    accuracy: Estimate
    moved_accuracy: Estimate
    top3: Estimate
    loss: float
    calibration_error: float
    drift: float
    changed: int
    by_class: dict[str, float]
    confused: tuple[tuple[str, str, int], ...]
    flagged: Estimate
    flags_changed: int
    outsiders: dict[str, Estimate]


def evaluate_classifier(
    name: str,
    data: Path,
    labels: Path | None = None,
    *,
    split: Split = "test",
    count: int | None = None,
    seed: int = 0,
    activation: str | None = None,
    outsiders: Mapping[str, Path] | None = None,
    device: str = "cpu",
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ClassReport:
    """Measure a head (a shipped name or a folder) on labelled INRs.

    The same head, data and settings give the same report, see `nfn_cli.learning.evaluate_head`.

    Args:
        data, labels: as in `read_inrs`.
        split: the networks that count, by the column `split`.
        count: as many of them, the first ones; None takes all.
        seed: decides the random group elements.
        outsiders: folders of other zoos by their names.
        on_stage: told what comes next, such as `reading`.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data.
    """
    on_stage("reading")
    head = load_head(name, device, task="classify-inr")
    networks = chosen_inrs(data, labels, split, count, activation)
    require_classes(networks, len(head.config.details.classes), data)
    others = read_others(outsiders or {}, head.config.accepted, activation)
    return measure_classifier(head, networks, seed=seed, others=others, on_stage=on_stage)


def read_others(
    folders: Mapping[str, Path], accepted: Accepted, activation: str | None = None
) -> dict[str, LabelledInrs]:
    """Other zoos, to see how many of their networks a head flags; of a zoo with a test part, that alone.

    Raises:
        DataError, CheckpointError, ArchitectureError: one cannot be read, or has networks that the head does not read.
    """
    found = {}
    for name, folder in folders.items():
        networks = read_inrs(folder, activation=activation)
        reason = accepted.mismatch(networks.point.architecture)
        if reason:
            raise DataError(folder, reason, "give outsiders that the head reads")
        tests = networks.part("test")
        found[name] = tests if len(tests) else networks
    return found


def require_classes(networks: LabelledInrs, classes: int, data: Path) -> None:
    """Check that every label is one of the head's classes.

    Raises:
        DataError: one is not.
    """
    highest = int(networks.labels.max())
    if highest >= classes:
        raise DataError(data, f"has a class {highest}, the head knows 0 to {classes - 1}", "leave its networks out")


def measure_classifier(
    head: Head,
    networks: LabelledInrs,
    *,
    seed: int = 0,
    others: Mapping[str, LabelledInrs] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ClassReport:
    """Measure a loaded head on networks in memory.

    Args:
        others: outsiders from other zoos by their names.
        on_stage: told what comes next, such as `predicting` or `bootstrap`.

    Raises:
        DataError: a network for which the head gives no finite logits.
        HeadError: the head does not read them.
    """
    on_stage("predicting")
    plain = _classify(head, networks.point, networks)
    # In float64, so that what is measured is the head and not the file's rounding of a moved phase.
    point = NetworkWeights(
        networks.point.architecture, {name: tensor.double() for name, tensor in networks.point.tensors.items()}
    )
    generator = torch.Generator().manual_seed(seed)
    element = sample_element(point.architecture, generator, batch=(len(networks),), phase=True)
    on_stage("predicting moved networks")
    moved = _classify(head, act(element, point), networks)
    truth, runs = networks.labels, [row.run for row in networks.rows]
    before, after = plain.logits.argmax(1), moved.logits.argmax(1)
    on_stage("bootstrap")
    best = plain.logits.topk(min(3, plain.logits.shape[1])).indices
    change = (moved.logits - plain.logits).abs().max()
    spread = plain.logits.std(0, correction=0).mean()
    names = head.config.details.classes
    return ClassReport(
        head=head.name,
        networks=len(networks),
        pictures=len(set(runs)),
        accuracy=bootstrap(share, truth, before == truth, runs),
        moved_accuracy=bootstrap(share, truth, after == truth, runs),
        top3=bootstrap(share, truth, (best == truth[:, None]).any(1), runs),
        loss=F.nll_loss(plain.probabilities.clamp_min(1e-300).log(), truth).item(),
        calibration_error=_calibration_error(plain.probabilities, truth),
        drift=(change / spread).item() if change > 0 else 0.0,
        changed=int((before != after).sum()),
        by_class={
            name: (before[truth == number] == number).double().mean().item()
            for number, name in enumerate(names)
            if bool((truth == number).any())
        },
        confused=_confused(truth, before, names),
        flagged=bootstrap(share, truth, ~plain.in_distribution, runs),
        flags_changed=int((plain.in_distribution != moved.in_distribution).sum()),
        outsiders=_outsiders(head, networks, others or {}, seed, on_stage),
    )


def _outsiders(
    head: Head,
    networks: LabelledInrs,
    others: Mapping[str, LabelledInrs],
    seed: int,
    on_stage: Callable[[str], None],
) -> dict[str, Estimate]:
    generator = torch.Generator().manual_seed(seed)
    kinds = {"shuffled entries": shuffled, "Gaussian weights": gaussian}
    made = {kind: replace(networks, point=make(networks.point, generator)) for kind, make in kinds.items()}
    found = {}
    for kind, outsiders in (made | dict(others)).items():
        on_stage(f"outsiders: {kind}")
        flags = torch.cat([~head.predict(batch).in_distribution for batch in batches(outsiders.point)])
        found[kind] = bootstrap(share, outsiders.labels, flags, [row.run for row in outsiders.rows])
    return found


def _classify(head: Head, point: NetworkWeights, networks: LabelledInrs) -> Classification:
    parts = [head.predict(batch) for batch in batches(point)]
    logits = torch.cat([part.logits for part in parts])
    bad = (~logits.isfinite().all(1)).nonzero()
    if len(bad):
        row = networks.rows[int(bad[0])]
        raise DataError(row.file, "the logits are not finite: weights beyond float32's range", "leave it out")
    return Classification(
        logits,
        torch.cat([part.probabilities for part in parts]),
        torch.cat([part.in_distribution for part in parts]),
        torch.cat([part.distance for part in parts]),
    )


def _calibration_error(probabilities: Tensor, truth: Tensor) -> float:
    """Σ over bins of (networks in it / all) × |share right − mean confidence|."""
    confidence, predicted = probabilities.max(1)
    bins = (confidence * _BINS).long().clamp_max(_BINS - 1)
    gaps = torch.zeros(_BINS, dtype=torch.float64)
    gaps.scatter_add_(0, bins, (predicted == truth).double() - confidence)
    return gaps.abs().sum().item() / len(truth)


def _confused(truth: Tensor, predicted: Tensor, names: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    wrong = truth != predicted
    pairs, counts = torch.stack([truth[wrong], predicted[wrong]], 1).unique(dim=0, return_counts=True)
    order = counts.argsort(descending=True, stable=True)[:3].tolist()
    return tuple((names[int(pairs[i, 0])], names[int(pairs[i, 1])], int(counts[i])) for i in order)
