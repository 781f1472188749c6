"""What a head that classifies INRs is worth: on networks as they are, and after random elements of their group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.learning.batches import predict_all
from nfn_cli.learning.metrics import Estimate, bootstrap, share
from nfn_cli.learning.out_of_distribution import Maker, flags, gaussian, shuffled
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.transformed import in_float64, transformed
from nfn_cli.nn import Head
from nfn_cli.nn.tasks.classification import Classification
from nfn_cli.zoo import LabelledNetworks

_BINS = 15
_MADE: dict[str, Maker] = {"shuffled entries": shuffled, "Gaussian weights": gaussian}


@dataclass(frozen=True)
class ClassReport:
    """A head measured on `networks` INRs of `pictures` pictures; 95 % bootstrap intervals over pictures.

    Attributes:
        accuracy, transformed_accuracy: share classified right, as they are and after a random element with phase
            shifts.
        top3: share whose class is among the three most probable.
        loss: mean cross entropy, in nats.
        calibration_error: expected calibration error over 15 bins of confidence.
        drift: the largest change of a logit under an element, divided by the logits' spread, which is the mean over
            classes of their standard deviation over networks.
        changed: networks whose predicted class is another after an element.
        by_class: share right of every class.
        confused: the commonest mistakes as (true, predicted, networks).
        flagged: share found out of distribution.
        flags_changed: networks that are flagged before or after an element, and not both times.
        out_of_distribution: share flagged of networks made of these, and of other zoos, by kind.
    """

    head: str
    networks: int
    pictures: int
    accuracy: Estimate
    transformed_accuracy: Estimate
    top3: Estimate
    loss: float
    calibration_error: float
    drift: float
    changed: int
    by_class: dict[str, float]
    confused: tuple[tuple[str, str, int], ...]
    flagged: Estimate
    flags_changed: int
    out_of_distribution: dict[str, Estimate]

    def figures(self) -> list[tuple[str, str, str]]:
        """Names of figures, with their values on networks as they are and after random elements."""
        return [
            ("accuracy", str(self.accuracy), str(self.transformed_accuracy)),
            ("among the three most probable", str(self.top3), ""),
            ("cross entropy", f"{self.loss:.4f}", ""),
            ("expected calibration error", f"{self.calibration_error:.4f}", ""),
            ("out of distribution", str(self.flagged), ""),
        ]


def measure_classifier(
    head: Head,
    networks: LabelledNetworks,
    settings: EvaluateSettings | None = None,
    others: Mapping[str, LabelledNetworks] | None = None,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ClassReport:
    """Measure a loaded head on networks in memory.

    Args:
        settings: `seed` of these counts.
        others: networks of other zoos by their names.
        on_stage: called with what comes next, such as `predicting` or `bootstrap`.

    Raises:
        DataError: a network for which the head gives no finite logits.
        HeadError: the head does not read them.
    """
    settings = settings or EvaluateSettings()
    on_stage("predicting")
    plain: Classification = predict_all(head, networks.point, networks.files, "logits")
    generator = torch.Generator().manual_seed(settings.seed)
    _, point = transformed(in_float64(networks.point), generator, phase=True)
    on_stage("predicting transformed networks")
    other: Classification = predict_all(head, point, networks.files, "logits")
    truth, runs = networks.targets, networks.runs
    before, after = plain.logits.argmax(1), other.logits.argmax(1)
    on_stage("bootstrap")
    best = plain.logits.topk(min(3, plain.logits.shape[1])).indices
    change = (other.logits - plain.logits).abs().max()
    spread = plain.logits.std(0, correction=0).mean()
    names = head.config.details.classes
    found = flags(head, networks, _MADE, others or {}, settings.seed, on_stage)
    return ClassReport(
        head=head.name,
        networks=len(networks),
        pictures=len(set(runs)),
        accuracy=bootstrap(share, truth, before == truth, runs),
        transformed_accuracy=bootstrap(share, truth, after == truth, runs),
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
        flags_changed=int((plain.in_distribution != other.in_distribution).sum()),
        out_of_distribution={kind: bootstrap(share, own.targets, flagged, own.runs) for kind, own, flagged in found},
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
