"""Heads that predict accuracies: an ensemble of invariant networks, a curve, and an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.any_classifier.interval import AnyInterval
from nfn_cli.nn.any_networks import AnyNetworks
from nfn_cli.nn.calibrated_accuracy import Calibration
from nfn_cli.nn.ensemble import Ensemble
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.names import HeadKind
from nfn_cli.nn.tasks.rows import ScoreRow, too_large
from nfn_cli.nn.tasks.task import Details, RowTask
from nfn_cli.threads import by_weights

if TYPE_CHECKING:
    from nfn_cli.nn.head import Head, HeadConfig

# The parts of a module that are set after it was fitted; only a head for any classifier has all.
CALIBRATED = ("calibration", "interval", "unrun_calibration", "unrun_interval")


@dataclass(frozen=True)
class AccuracyDetails(Details):
    """What is special to heads that predict accuracies.

    Attributes:
        level: nominal coverage of the interval.
        forward_pass: how the networks are run, by kinds that run them.
        widths: hidden widths of the networks that it was fitted to; None where they are not recorded.
    """

    level: float = 0.9
    forward_pass: ForwardPass = field(default_factory=ForwardPass)
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is {shown(self.level)}, not between 0 and 1")

    def mismatch(self, accepted: Accepted) -> str | None:
        """See `Details`."""
        if self.widths is not None and [type(own) is int and own > 0 for own in self.widths] != [True] * (
            len(accepted.layers) - 1
        ):
            return f"widths are {shown(self.widths)}, not one for each hidden layer"
        return None

    @classmethod
    def from_record(cls, record: dict[str, Any], kind: HeadKind) -> AccuracyDetails:
        """See `Details`."""
        forward_pass = ForwardPass.from_record(record["forward_pass"]) if kind.runs else ForwardPass()
        return cls(float(record["level"]), forward_pass, tuple(record["widths"]) if "widths" in record else None)

    def to_record(self, kind: HeadKind) -> dict[str, Any]:
        """See `Details`."""
        widths = {} if self.widths is None else {"widths": list(self.widths)}
        forward_pass = {"forward_pass": self.forward_pass.to_record()} if kind.runs else {}
        return {"level": self.level, **widths, **forward_pass}


@dataclass(frozen=True)
class Predictions:
    """For a batch of networks: predicted accuracy, interval, and whether each looks like the training population."""

    accuracy: Tensor  # float64 [batch], in [0, 1]
    low: Tensor  # float64 [batch]
    high: Tensor  # float64 [batch]
    in_distribution: Tensor  # bool [batch]


@dataclass(frozen=True)
class AnyPredictions(Predictions):
    """Those of a head for any classifier."""

    distance: Tensor  # float64 [batch], from what the head was fitted to; 1 is its limit

    def where(self, chosen: Tensor, other: AnyPredictions) -> AnyPredictions:
        """These for the networks that are chosen, bool [batch], and another's for the rest."""
        return AnyPredictions(
            *(torch.where(chosen, getattr(self, own.name), getattr(other, own.name)) for own in fields(self))
        )


class AccuracyTask(RowTask[ScoreRow]):
    """`nfn predict-accuracy`."""

    name = "predict-accuracy"
    details = AccuracyDetails
    row = ScoreRow

    def model(self, config: HeadConfig) -> nn.Module:
        """See `Task`. What it is calibrated by is set on runs that were not fitted to.

        That is `calibration`; and in a head for any classifier `calibration` and `interval` for networks that are run,
        `unrun_calibration` and `unrun_interval` for the others, of which less is known.
        """
        if config.accepted.is_any:
            (model,) = config.new_members()  # it is an ensemble of its own
            model.interval, model.unrun_interval = AnyInterval(), AnyInterval()
            model.unrun_calibration = Calibration()
        else:
            model = Ensemble(config.new_members())
        model.calibration = Calibration()
        return model

    def loaded(self, model: Any, folder: Path, device: str) -> nn.Module:
        """See `Task`."""
        parts = [getattr(model, name) for name in CALIBRATED if hasattr(model, name)]
        if not all(part.is_sound() for part in parts):
            raise HeadError(folder, "its calibration is not one that a fit gives", "fetch the head again")
        return model

    def output(self, head: Head, point: NetworkWeights | AnyNetworks, **options: Any) -> Predictions:
        """See `Task`.

        Args:
            point: `NetworkStatistics` or `LabelledNetworks`, on the CPU, for a head that reads any architectures.

        In one process, the same batch gives the same predictions bit for bit, from a head as from its saved copy. In
        another batch, with other threads or on another processor, float32 sums are taken in another order: shipped
        heads' predictions then move by up to 8e-8, as measured between batches of 1 to 128, one and two threads, and
        AVX-512, AVX2 and SSE, and none may move by more than 1e-6, the last digit that is written.
        """
        if isinstance(point, NetworkWeights):
            return _of_weights(head, point)
        return _of_any(head, point)

    def rows(self, head: Head, names: Sequence[str], output: Predictions) -> list[ScoreRow]:
        """See `RowTask`."""
        columns = (output.accuracy, output.low, output.high, output.in_distribution)
        distances = output.distance.tolist() if isinstance(output, AnyPredictions) else [None] * len(names)
        values = zip(*(column.tolist() for column in columns), distances, strict=True)
        return [
            ScoreRow(name, accuracy, low, high, head.name, known, distance=distance)
            if math.isfinite(accuracy)
            else self.failed(name, too_large(name))
            for name, (accuracy, low, high, known, distance) in zip(names, values, strict=True)
        ]


@by_weights
@torch.inference_mode()
def _of_weights(head: Head, point: NetworkWeights) -> Predictions:
    """What an ensemble that reads weights of one architecture says."""
    logits, summary = head.model(head.model.encode(point))
    known_widths = head.config.details.widths in (None, point.architecture.hidden_widths)
    accuracy = head.model.calibration.accuracy(logits)
    radius = head.model.calibration.radius(accuracy)
    return Predictions(
        accuracy=accuracy,
        low=(accuracy - radius).clamp(0, 1),
        high=(accuracy + radius).clamp(0, 1),
        in_distribution=head.model.ood_detector.contains(summary).cpu() & known_widths,
    )


@torch.inference_mode()
def _of_any(head: Head, networks: AnyNetworks) -> AnyPredictions:
    """What a head for any classifier says of networks of any architectures."""
    model = head.model
    said = model(networks)
    answers = (said.logits, said.spread, said.distance, networks.classes)
    run = any_predictions(model.calibration, model.interval, *answers)
    return run.where(networks.runs.cpu(), any_predictions(model.unrun_calibration, model.unrun_interval, *answers))


def any_predictions(
    calibration: Calibration, interval: AnyInterval, logits: Tensor, spread: Tensor, distance: Tensor, classes: Tensor
) -> AnyPredictions:
    """Predictions for networks of one sort, run or not, of which a module says logits, spread and distance [batch].

    Args:
        calibration, interval: of this sort.
        classes: how many each network tells apart [batch].
    """
    accuracy = calibration.accuracy(logits)
    radius = interval.radius(accuracy, spread, distance, classes)
    distance = distance.cpu().double()
    return AnyPredictions(
        accuracy=accuracy,
        low=(accuracy - radius).clamp(0, 1),
        high=(accuracy + radius).clamp(0, 1),
        in_distribution=distance <= 1,
        distance=distance,
    )


TASK = AccuracyTask()
