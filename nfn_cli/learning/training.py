"""`nfn train`: from labelled checkpoints to a head folder with its model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from nfn_cli.errors import DataError
from nfn_cli.learning.card import model_card
from nfn_cli.learning.conformal import interval_radius
from nfn_cli.learning.evaluation import EvaluateSettings, EvaluationReport, measure
from nfn_cli.learning.fitting import FitSettings, fit_ensemble
from nfn_cli.learning.splits import Part, positions
from nfn_cli.nn import Accepted, Ensemble, Head, HeadConfig, MonomialNFNSizes, read_fields
from nfn_cli.zoo import SETTINGS_FILE, LabelledNetworks, read_networks

_SMALLEST_PART = 5


@dataclass(frozen=True)
class TrainSettings:
    """How to fit a head. `split_seed` decides which runs are held out, `fit.seed` everything else."""

    sizes: MonomialNFNSizes = field(default_factory=MonomialNFNSizes)
    members: int = 4
    level: float = 0.9
    fit: FitSettings = field(default_factory=FitSettings)
    split_seed: int = 0
    column: str = "test_accuracy"
    activation: str | None = None


def train_head(
    data: Path,
    labels: Path | None,
    out: Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "cpu",
    on_start: Callable[[int], None] = lambda epochs: None,
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> EvaluationReport:
    """Fit a head, calibrate its interval and population on held-out runs, measure it on others, and write its folder.

    Args:
        data, labels: as in `read_networks`.
        out: the head's folder.
        on_start: told the number of epochs over all members.
        on_epoch: told the mean loss after each.

    Returns:
        The measurement on test runs, which the model card also gives.

    Raises:
        DataError: unusable data, or too few networks in a part of the split.
        HeadError: an architecture without scalings or signs.
    """
    settings = settings or TrainSettings()
    networks = read_networks(data, labels, column=settings.column, activation=settings.activation)
    train, calibration, test = (_part(networks, part, settings.split_seed, data) for part in _PARTS)
    config = HeadConfig(
        accepted=Accepted.of(networks.point.architecture),
        sizes=settings.sizes,
        members=settings.members,
        level=settings.level,
        fitted=_record(data, networks, settings),
    )
    torch.manual_seed(settings.fit.seed)
    model = Ensemble(config).to(device)
    head = Head(out.resolve().name, config, model)
    fields = read_fields(model.layout, train.point, device=device)
    on_start(settings.members * settings.fit.epochs)
    fit_ensemble(model, fields, train.accuracies.to(device), settings.fit, on_epoch)
    model.eval()
    _calibrate(head, train, calibration)
    report = measure(head, test, EvaluateSettings(seed=settings.fit.seed))
    head.save(out, model_card(head, report))
    return report


_PARTS: tuple[Part, Part, Part] = ("train", "calibration", "test")


def _part(networks: LabelledNetworks, part: Part, seed: int, data: Path) -> LabelledNetworks:
    chosen = positions(networks.runs, part, seed)
    if len(chosen) < _SMALLEST_PART:
        cause = f"only {len(chosen)} of {len(networks)} networks fall into the {part} part"
        raise DataError(data, cause, "give checkpoints of more runs (a few dozen at least)")
    return networks.select(chosen)


@torch.no_grad()
def _calibrate(head: Head, train: LabelledNetworks, calibration: LabelledNetworks) -> None:
    model, device = head.model, head.model.radius.device
    invariants = {}
    for name, part in (("train", train), ("calibration", calibration)):
        fields = read_fields(model.layout, part.point, device=device)
        logits, invariants[name] = model(fields)
    model.population.fit(invariants["train"], invariants["calibration"])
    predicted = logits.double().sigmoid().cpu()
    model.radius.fill_(interval_radius(calibration.accuracies, predicted, head.config.level))


def _record(data: Path, networks: LabelledNetworks, settings: TrainSettings) -> dict[str, Any]:
    """What the card and `nfn evaluate` need to know of the fit."""
    record: dict[str, Any] = {
        "data": data.resolve().name,
        "networks": len(networks),
        "runs": len(set(networks.runs)),
        "column": settings.column,
        "split_seed": settings.split_seed,
        **asdict(settings.fit),
    }
    zoo = data / SETTINGS_FILE
    if zoo.is_file():
        record["zoo"] = yaml.safe_load(zoo.read_text(encoding="utf-8"))
    return record
