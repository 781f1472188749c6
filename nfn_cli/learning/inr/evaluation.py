"""Measure a head that classifies INRs: on networks as they are, and moved along their orbits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures import WeightSpace
from nfn_cli.errors import DataError
from nfn_cli.learning.batches import batches
from nfn_cli.learning.metrics import Estimate, bootstrap, share
from nfn_cli.nn import load_classifier
from nfn_cli.nn.inr import Classification, Classifier
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


def evaluate_classifier(
    name: str,
    data: Path,
    labels: Path | None = None,
    *,
    split: Literal["train", "test", "all"] = "test",
    seed: int = 0,
    activation: str | None = None,
    device: str = "cpu",
) -> ClassReport:
    """Measure a head (a shipped name or a folder) on labelled INRs.

    Args:
        data, labels: as in `read_inrs`.
        split: the networks that count, by the column `split`.
        seed: decides the random group elements.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data.
    """
    head = load_classifier(name, device)
    networks = read_inrs(data, labels, activation=activation)
    if split != "all":
        networks = networks.part(split)
        if not len(networks):
            raise DataError(data, f"none of its networks is of the {split} part", "use --split all")
    require_classes(networks, len(head.config.classes), data)
    return measure_classifier(head, networks, seed=seed)


def require_classes(networks: LabelledInrs, classes: int, data: Path) -> None:
    """Check that every label is one of the head's classes.

    Raises:
        DataError: one is not.
    """
    highest = int(networks.labels.max())
    if highest >= classes:
        raise DataError(data, f"has a class {highest}, the head knows 0 to {classes - 1}", "leave its networks out")


def measure_classifier(head: Classifier, networks: LabelledInrs, *, seed: int = 0) -> ClassReport:
    """Measure a loaded head on networks in memory.

    Raises:
        DataError: a network for which the head gives no finite logits.
        HeadError: the head does not read them.
    """
    plain = _classify(head, networks.point, networks)
    # In float64, so that what is measured is the head and not the file's rounding of a moved phase.
    point = WeightSpace(
        networks.point.architecture, {name: tensor.double() for name, tensor in networks.point.tensors.items()}
    )
    generator = torch.Generator().manual_seed(seed)
    element = sample_element(point.architecture, generator, batch=(len(networks),), phase=True)
    moved = _classify(head, act(element, point), networks)
    truth, runs = networks.labels, [row.run for row in networks.rows]
    before, after = plain.logits.argmax(1), moved.logits.argmax(1)
    best = plain.logits.topk(min(3, plain.logits.shape[1])).indices
    change = (moved.logits - plain.logits).abs().max()
    spread = plain.logits.std(0, correction=0).mean()
    names = head.config.classes
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
    )


def _classify(head: Classifier, point: WeightSpace, networks: LabelledInrs) -> Classification:
    parts = [head.classify(batch) for batch in batches(point)]
    logits = torch.cat([part.logits for part in parts])
    bad = (~logits.isfinite().all(1)).nonzero()
    if len(bad):
        row = networks.rows[int(bad[0])]
        raise DataError(row.file, "the logits are not finite: weights beyond float32's range", "leave it out")
    return Classification(logits, torch.cat([part.probabilities for part in parts]))


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
