"""`nfn train-inr`: from labelled INRs to a head that classifies them, with its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nfn_cli.errors import DataError
from nfn_cli.learning.fit_state import StateKeeper
from nfn_cli.learning.fitting import fit_ensemble
from nfn_cli.learning.inr.calibration import calibrate
from nfn_cli.learning.inr.card import classifier_card
from nfn_cli.learning.inr.evaluation import ClassReport, measure_classifier, read_others, require_classes
from nfn_cli.learning.member_fit import FitSettings, class_loss
from nfn_cli.learning.places import require_head_place
from nfn_cli.nn import Accepted, ClassDetails, Head, HeadConfig, kind_of, sizes_of
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.threads import threads_for, weights_of
from nfn_cli.zoo import LabelledInrs, read_inrs
from nfn_cli.zoo.inr.record import read_inr_record

_HELD_OUT = 0.05
_FEWEST = 20


@dataclass(frozen=True)
class ClassifierSettings:
    """What to fit.

    Attributes:
        sizes: of a member; None takes the usual ones of `kind`.
        count: training networks to use, the first ones; None takes all.
        class_names: in the order of the labels; None names them by their numbers.
        outsiders: folders of other zoos by their names, of which the report tells the share that is flagged.
    """

    kind: str = "coordinate-probe"
    sizes: Any = None
    members: int = 1
    fit: FitSettings = field(default_factory=FitSettings)
    count: int | None = None
    class_names: tuple[str, ...] | None = None
    activation: str | None = None
    outsiders: Mapping[str, Path] = field(default_factory=dict)


def train_classifier(
    data: Path,
    labels: Path | None,
    out: Path,
    settings: ClassifierSettings | None = None,
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_start: Callable[[int], None] = lambda epochs: None,
    on_epoch: Callable[[float], None] = lambda loss: None,
    on_skip: Callable[[int], None] = lambda epochs: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ClassReport:
    """Fit a head to the training part of a zoo, set its temperature and population with a twentieth of that which is
    held out, measure it on the test part, and write its folder.

    A fit that was stopped goes on when it is called again with the same data and settings.

    Args:
        data, labels: as in `read_inrs`.
        out: the head's folder; while it is being fitted, it holds the fit's state.
        overwrite: begin anew where the folder holds the state of another fit.
        on_start: told the number of epochs over all members.
        on_epoch: told the mean loss after each.
        on_skip: told of epochs that are not run, because a state has them.
        on_stage: told what comes next: reading, each member, calibrating, what is measured, writing.

    Raises:
        DataError: unusable data, too few networks, a folder that cannot be written.
        HeadError: networks that the kind does not read.
    """
    settings = settings or ClassifierSettings()
    on_stage("reading")
    networks = read_inrs(data, labels, activation=settings.activation)
    train, held_out, test = _parts(networks, settings.count, data)
    names = settings.class_names or tuple(map(str, range(int(networks.labels.max()) + 1)))
    if len(names) < 2:
        raise DataError(data, "all its networks are of one class", "give networks of two classes or more")
    require_classes(networks, len(names), data)
    _require_float32(networks)
    require_head_place(out)
    others = read_others(settings.outsiders, Accepted.of(networks.point.architecture), settings.activation)
    sizes = sizes_of(settings.kind) if settings.sizes is None else settings.sizes
    kind = kind_of(sizes)
    fit = replace(settings.fit, epochs=settings.fit.epochs_for(len(train), HEAD_KINDS[kind].epochs))
    settings = replace(settings, kind=kind, sizes=sizes, fit=fit)
    config = HeadConfig(
        accepted=Accepted.of(networks.point.architecture),
        sizes=sizes,
        details=ClassDetails(names),
        members=settings.members,
        fitted=_record(data, labels, train, settings),
    )
    torch.manual_seed(fit.seed)
    model = config.new_model().to(device)
    made_of = _made_of(train, settings, device) | {"number of classes": len(names)}
    keeper = StateKeeper(out, made_of, overwrite=overwrite)
    on_start(settings.members * (fit.epochs or 0))
    targets = train.labels.to(device)
    fit_ensemble(
        model,
        model.encode(train.point),
        targets,
        fit,
        on_epoch,
        loss=class_loss,
        on_skip=on_skip,
        keeper=keeper,
        on_stage=on_stage,
    )
    head = Head(out.resolve().name, config, model.eval())
    on_stage("calibrating")
    with threads_for(weights_of(train.point)):
        calibrate(head, train, held_out, fit.seed)
    report = measure_classifier(head, test, seed=fit.seed, others=others, on_stage=on_stage)
    on_stage("writing")
    head.save(out, classifier_card(head, report))
    keeper.remove()
    return report


def _parts(networks: LabelledInrs, count: int | None, data: Path) -> tuple[LabelledInrs, LabelledInrs, LabelledInrs]:
    """Networks to fit to, to set the temperature on, and to measure on; no picture is in two of them.

    The pictures of the training part that are held out follow from their names, not from how many there are.
    """
    test = [place for place, row in enumerate(networks.rows) if row.split == "test"]
    train: list[int] = []
    held_out: list[int] = []
    for place, row in enumerate(networks.rows):
        if row.split == "train":
            (held_out if _share(row.run) < _HELD_OUT else train).append(place)
    train = train[:count]
    for name, part, least in (("training", train, _FEWEST), ("held-out", held_out, 2), ("test", test, 2)):
        if len(part) < least:
            cause = f"only {len(part)} networks fall into the {name} part (at least {least})"
            raise DataError(data, cause, "give more networks, and some with `test` in the column split")
    return networks.select(train), networks.select(held_out), networks.select(test)


def _require_float32(networks: LabelledInrs) -> None:
    """Check, before a fit that they would spoil, that all weights are within the range in which heads compute."""
    for tensor in networks.point.tensors.values():
        beyond = (tensor.abs() > torch.finfo(torch.float32).max).flatten(1).any(1).nonzero()
        if len(beyond):
            raise DataError(networks.rows[int(beyond[0])].file, "weights beyond float32's range", "leave it out")


def _share(run: str) -> float:
    """A number in [0, 1) that follows from a name."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big") / 2**64


def _record(data: Path, labels: Path | None, train: LabelledInrs, settings: ClassifierSettings) -> dict[str, Any]:
    """What the card needs to know of the fit."""
    zoo = read_inr_record(data)
    return {
        "data": data.resolve().name,
        "labels": labels and labels.name,
        "networks": len(train),
        "count": settings.count,
        "activation": settings.activation,
        **asdict(settings.fit),
        **({"zoo": zoo} if zoo else {}),
        "outsiders": {name: folder.resolve().name for name, folder in settings.outsiders.items()},
    }


def _made_of(train: LabelledInrs, settings: ClassifierSettings, device: str) -> dict[str, Any]:
    """All that a fit follows from, under names that a refusal can tell."""
    contents = hashlib.sha256(repr((train.rows, train.point.architecture.signature)).encode())
    for tensor in train.point.tensors.values():
        contents.update(tensor.contiguous().numpy().data)
    return {
        **asdict(settings.fit),
        "members": settings.members,
        "kind": settings.kind,
        "sizes": None if settings.sizes is None else asdict(settings.sizes),
        "device": device,
        "data set": contents.hexdigest(),
    }
