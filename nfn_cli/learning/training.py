"""`nfn train`: from labelled checkpoints to a head folder with its model card."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.batches import batches
from nfn_cli.learning.card import model_card
from nfn_cli.learning.conformal import interval_radius
from nfn_cli.learning.evaluation import EvaluateSettings, EvaluationReport, measure, require_spread
from nfn_cli.learning.fitting import FitSettings, fit_ensemble
from nfn_cli.learning.splits import Part, positions
from nfn_cli.nn import Accepted, Ensemble, Head, HeadConfig, MonomialNFNSizes, read_fields
from nfn_cli.zoo import LabelledNetworks, read_networks, read_record

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
        DataError: unusable data, too few runs in a part of the split, or a folder that cannot be written.
        HeadError: an architecture without scalings or signs.
    """
    settings = settings or TrainSettings()
    networks = read_networks(data, labels, column=settings.column, activation=settings.activation)
    train, calibration, test = (_part(networks, part, settings.split_seed, data) for part in _PARTS)
    require_spread(train, data)
    require_spread(test, data)
    _require_place(out)
    config = HeadConfig(
        accepted=Accepted.of(networks.point.architecture),
        sizes=settings.sizes,
        members=settings.members,
        level=settings.level,
        fitted=_record(data, labels, networks, settings),
    )
    torch.manual_seed(settings.fit.seed)
    model = Ensemble(config).to(device)
    head = Head(out.resolve().name, config, model)
    fields = _fields(model, train)
    on_start(settings.members * settings.fit.epochs)
    fit_ensemble(model, fields, train.accuracies.to(device, torch.float32), settings.fit, on_epoch)
    model.eval()
    _calibrate(head, train, calibration)
    report = measure(head, test, EvaluateSettings(seed=settings.fit.seed))
    head.save(out, model_card(head, report))
    return report


_PARTS: tuple[Part, Part, Part] = ("train", "calibration", "test")


def _part(networks: LabelledNetworks, part: Part, seed: int, data: Path) -> LabelledNetworks:
    chosen = positions(networks.runs, part, seed)
    runs = len({networks.runs[position] for position in chosen})
    if runs < _SMALLEST_PART:
        cause = f"only {runs} of {len(set(networks.runs))} runs fall into the {part} part"
        raise DataError(data, cause, "give checkpoints of more runs (a few dozen at least)")
    return networks.select(chosen)


def _require_place(out: Path) -> None:
    """Check, before long work, that the head's folder can be made or written to."""
    there = next(place for place in (out, *out.resolve().parents) if os.path.exists(place))
    if not os.path.isdir(there) or not os.access(there, os.W_OK):
        raise DataError(out, f"{there} is no folder that can be written to", "choose another place")


def _fields(model: Ensemble, networks: LabelledNetworks) -> list[Tensor]:
    fields = read_fields(model.layout, networks.point, device=model.radius.device)
    finite = torch.stack([values.flatten(1).isfinite().all(1) for values in fields]).all(0)
    if not finite.all():
        file = networks.files[int((~finite).nonzero()[0])]
        raise DataError(file, "weights beyond float32's range", "leave it out")
    return fields


@torch.no_grad()
def _calibrate(head: Head, train: LabelledNetworks, calibration: LabelledNetworks) -> None:
    model = head.model
    _, invariants = _logits_and_invariants(model, train)
    logits, held_out = _logits_and_invariants(model, calibration)
    model.population.fit(invariants, held_out)
    predicted = logits.cpu().double().sigmoid()
    model.radius.fill_(interval_radius(calibration.accuracies, predicted, head.config.level))


def _logits_and_invariants(model: Ensemble, networks: LabelledNetworks) -> tuple[Tensor, Tensor]:
    pairs: Sequence[tuple[Tensor, Tensor]] = [
        model(read_fields(model.layout, batch, device=model.radius.device)) for batch in batches(networks.point)
    ]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([invariants for _, invariants in pairs])


def _record(data: Path, labels: Path | None, networks: LabelledNetworks, settings: TrainSettings) -> dict[str, Any]:
    """What the card and `nfn evaluate` need to know of the fit."""
    record: dict[str, Any] = {
        "data": data.resolve().name,
        "labels": labels and labels.name,
        "networks": len(networks),
        "runs": len(set(networks.runs)),
        "column": settings.column,
        "activation": settings.activation,
        "split_seed": settings.split_seed,
        **asdict(settings.fit),
    }
    zoo = read_record(data)
    if zoo is not None:
        record["zoo"] = zoo
    return record
