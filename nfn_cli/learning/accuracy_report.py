"""What a head that predicts accuracies is worth: on networks as they are, and after random elements of their group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nfn_cli.learning.batches import predict_all
from nfn_cli.learning.metrics import (
    Estimate,
    bootstrap,
    kendall_tau,
    label_ceiling,
    mean_absolute_error,
    r_squared,
    share,
)
from nfn_cli.learning.out_of_distribution import MADE, OODReport, flags
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.transformed import in_float64, transformed
from nfn_cli.nn import Head
from nfn_cli.nn.tasks.accuracy import Predictions
from nfn_cli.zoo import LabelledNetworks

_CHANCE_MARGIN = 0.005
_LEARNED_MARGIN = 0.1
_HISTOGRAM_BINS = 10
CEILING = "ceiling of τ (label noise)"


@dataclass(frozen=True)
class Agreement:
    """Predictions against true accuracies: 95 % bootstrap intervals over runs.

    `coverage` is the share of true accuracies inside the head's interval, `flagged` the share of networks that the head
    finds out of distribution.
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
        plain, transformed: agreement on the networks as they are, and after random group elements.
        tau_ceiling: τ between the labels' own halves, see `label_ceiling`; None where the table does not say them.
        tau_drop: τ plain − τ transformed.
        drift: the largest change of a prediction under an element, divided by the predictions' standard deviation.
        flags_changed: networks that are flagged before or after an element, and not both times.
        chance_share: share of networks no better than chance (within 0.005 of 1 / classes, or below).
        histogram: counts of true accuracies in ten equal bins from `histogram_range[0]` to `histogram_range[1]`.
        out_of_distribution: shares flagged of networks made of these, then of the other populations that were given.
    """

    head: str
    networks: int
    runs: int
    scale_range: tuple[float, float]
    samples: int
    level: float
    plain: Agreement
    transformed: Agreement
    tau_drop: float
    drift: float
    flags_changed: int
    chance_share: float
    histogram: tuple[int, ...]
    histogram_range: tuple[float, float]
    out_of_distribution: tuple[OODReport, ...]
    tau_ceiling: Estimate | None = None

    def figures(self) -> list[tuple[str, str, str]]:
        """Names of figures, with their values on networks as they are and after random elements."""
        names = {
            "tau": "Kendall's τ",
            "r_squared": "R²",
            "mean_absolute_error": "mean absolute error",
            "coverage": f"coverage of the {100 * self.level:.0f} % interval",
            "flagged": "out of distribution",
        }
        rows = [
            (name, str(getattr(self.plain, own)), str(getattr(self.transformed, own))) for own, name in names.items()
        ]
        if self.tau_ceiling is not None:
            rows.insert(1, (CEILING, str(self.tau_ceiling), ""))
        return rows


def measure(
    head: Head,
    networks: LabelledNetworks,
    settings: EvaluateSettings | None = None,
    others: Mapping[str, LabelledNetworks] | None = None,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EvaluationReport:
    """Measure a loaded head on networks in memory.

    Args:
        settings: `scale_range`, `samples` and `seed` of these count.
        others: networks of other populations by their names.
        on_stage: called with what comes next, such as `predicting transformed networks` or `bootstrap`.

    Raises:
        DataError: a network for which the head gives no finite prediction.
        HeadError: the head does not read them.
    """
    settings = settings or EvaluateSettings()
    on_stage("predicting")
    plain: Predictions = predict_all(head, networks.point, networks.files, "accuracy")
    generator = torch.Generator().manual_seed(settings.seed)
    exact = in_float64(networks.point)
    parts = []
    for sample in range(settings.samples):
        number = f", {sample + 1} of {settings.samples}" * (settings.samples > 1)
        on_stage(f"predicting transformed networks{number}")
        _, point = transformed(exact, generator, scale_range=settings.scale_range)
        parts.append(predict_all(head, point, networks.files, "accuracy"))
    stacked = Predictions(*(torch.cat([getattr(part, own.name) for part in parts]) for own in fields(Predictions)))
    truth, halves = networks.targets, networks.halves
    on_stage("bootstrap")
    before = _agreement(truth, plain, networks.runs)
    after = _agreement(truth.repeat(settings.samples), stacked, networks.runs * settings.samples)
    change = (stacked.accuracy - plain.accuracy.repeat(settings.samples)).abs().max()
    flags_changed = stacked.in_distribution != plain.in_distribution.repeat(settings.samples)
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
        transformed=after,
        tau_drop=before.tau.value - after.tau.value,
        drift=(change / spread).item() if change > 0 else 0.0,
        flags_changed=int(flags_changed.sum()),
        chance_share=(truth <= _chance(networks) + _CHANCE_MARGIN).double().mean().item(),
        histogram=tuple(int(count) for count in torch.histc(truth, _HISTOGRAM_BINS, low, high).tolist()),
        histogram_range=(low, high),
        out_of_distribution=tuple(
            _ood_report(*found) for found in flags(head, networks, MADE, others or {}, settings.seed, on_stage)
        ),
        tau_ceiling=None if halves is None else label_ceiling(halves[:, 0], halves[:, 1], networks.runs),
    )


def _ood_report(kind: str, networks: LabelledNetworks, flagged: Tensor) -> OODReport:
    learned = (networks.targets > _chance(networks) + _LEARNED_MARGIN).nonzero()[:, 0].tolist()
    runs = [networks.runs[position] for position in learned]
    return OODReport(
        kind=kind,
        networks=len(networks),
        runs=len(set(networks.runs)),
        flagged=bootstrap(share, networks.targets, flagged, networks.runs),
        trained=len(learned),
        trained_flagged=bootstrap(share, networks.targets[learned], flagged[learned], runs) if learned else None,
    )


def _chance(networks: LabelledNetworks) -> float:
    """The accuracy of a guess."""
    return 1 / networks.point.architecture.outputs


def _agreement(truth: Tensor, predictions: Predictions, runs: Sequence[str]) -> Agreement:
    inside = (predictions.low <= truth) & (truth <= predictions.high)
    return Agreement(
        tau=bootstrap(kendall_tau, truth, predictions.accuracy, runs),
        r_squared=bootstrap(r_squared, truth, predictions.accuracy, runs),
        mean_absolute_error=bootstrap(mean_absolute_error, truth, predictions.accuracy, runs),
        coverage=bootstrap(share, truth, inside, runs),
        flagged=bootstrap(share, truth, ~predictions.in_distribution, runs),
    )
