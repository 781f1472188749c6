"""`nfn train`: from labelled checkpoints to a head folder with its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.errors import DataError, HeadError
from nfn_cli.learning.calibrating import calibrate
from nfn_cli.learning.card import model_card
from nfn_cli.learning.evaluation import EvaluateSettings, EvaluationReport, measure, require_spread
from nfn_cli.learning.fit_state import StateKeeper
from nfn_cli.learning.fitting import FitOutcome, FitSettings, fit_ensemble
from nfn_cli.learning.outsiders import read_outsiders
from nfn_cli.learning.places import require_head_place
from nfn_cli.learning.running import known_pass
from nfn_cli.learning.splits import FEWEST_RUNS, Part, first_seed, left_out_positions, positions
from nfn_cli.nn import Accepted, AccuracyDetails, ForwardPass, Head, HeadConfig, kind_of, sizes_of
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.threads import threads_for, weights_of
from nfn_cli.zoo import LabelledNetworks, read_networks, read_record


@dataclass(frozen=True)
class TrainSettings:
    """How to fit a head. `fit.seed` decides everything but the split.

    Attributes:
        split_seed: decides which runs are held out; None takes 0, or for a small population the first seed that gives
            each part enough runs.
        column, run_column: of the CSV file, with the accuracy and the training run.
        sizes: of each member; None takes the defaults of `kind`.
        kind: a name in `HEAD_KINDS`; None takes that of `sizes`, or else Monomial-Probe where it is known how the
            networks are run, and Monomial-NFN otherwise.
        forward_pass: how the networks are run; None where the data or their layers tell.
        outsiders: folders of other populations by their names, to measure the head on; they do not change the head.
    """

    sizes: Any = None
    kind: str | None = None
    forward_pass: ForwardPass | None = None
    members: int = 4
    level: float = 0.9
    fit: FitSettings = field(default_factory=FitSettings)
    split_seed: int | None = None
    column: str = "test_accuracy"
    run_column: str = "run"
    activation: str | None = None
    outsiders: Mapping[str, Path] = field(default_factory=dict)


def train_head(
    data: Path,
    labels: Path | None,
    out: Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_start: Callable[[int], None] = lambda epochs: None,
    on_epoch: Callable[[float], None] = lambda loss: None,
    on_skip: Callable[[int], None] = lambda epochs: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EvaluationReport:
    """Fit a head, calibrate its interval and population on held-out runs, measure it on others, and write its folder.

    While it is being fitted, the folder holds the fit's state. A fit that was stopped goes on from there when it is
    called again with the same data and settings, and ends in the same head, bit for bit.

    Args:
        data, labels: as in `read_networks`.
        out: the head's folder.
        overwrite: begin anew where the folder holds the state of another fit.
        on_start: told the number of epochs over all members.
        on_epoch: told the mean loss after each.
        on_skip: told of epochs that are not run: because a state has them, or a member stopped early.
        on_stage: told what comes next: reading, each member, calibrating, what is measured, writing.

    Returns:
        The measurement on test runs, which the model card also gives.

    Raises:
        DataError: unusable data, too few runs in a part of the split, a folder that cannot be written or that holds
            the state of another fit.
        HeadError: an architecture without scalings or signs.
    """
    settings = settings or TrainSettings()
    if labels is None and data.suffix.lower() == ".csv":
        raise DataError(data, "is a CSV file", f"give the folder of checkpoints, and this file as --labels {data.name}")
    on_stage("reading")
    networks = read_networks(
        data,
        labels,
        column=settings.column,
        run_column=settings.run_column,
        unique=True,
        activation=settings.activation,
    )
    settings = replace(settings, split_seed=_split_seed(networks, settings, data))
    train, calibration, test = (_part(networks, part, settings, data) for part in _PARTS)
    require_spread(train, data)
    require_spread(test, data)
    require_head_place(out)
    accepted = Accepted.of(networks.point.architecture)
    others = read_outsiders(settings.outsiders, accepted, column=settings.column, activation=settings.activation)
    sizes, forward_pass = _members(settings, networks, data)
    settings = replace(settings, sizes=sizes, kind=kind_of(sizes), forward_pass=forward_pass)
    epochs = settings.fit.epochs_for(len(train), HEAD_KINDS[kind_of(sizes)].epochs)
    settings = replace(settings, fit=replace(settings.fit, epochs=epochs))
    config = HeadConfig(
        accepted=accepted,
        sizes=sizes,
        details=AccuracyDetails(
            settings.level, forward_pass or ForwardPass(), networks.point.architecture.hidden_widths
        ),
        members=settings.members,
        fitted=_record(data, labels, networks, settings),
    )
    torch.manual_seed(settings.fit.seed)
    model = _ensemble(config, networks).to(device)
    fields = _fields(model, train)
    keeper = StateKeeper(out, _made_of(networks, settings, model.ood_detector.limit.device), overwrite=overwrite)
    on_start(settings.members * epochs)
    accuracies = train.accuracies.to(device, torch.float32)
    left_out = left_out_positions(train.runs, _folds(settings), settings.fit.seed)[: settings.members]
    outcomes = fit_ensemble(
        model,
        fields,
        accuracies,
        settings.fit,
        on_epoch,
        runs=train.runs,
        left_out=left_out,
        on_skip=on_skip,
        keeper=keeper,
        on_stage=on_stage,
    )
    model.eval()
    head = Head(out.resolve().name, _with_outcomes(config, outcomes), model)
    on_stage("calibrating")
    with threads_for(weights_of(train.point)):
        calibrate(head, train, calibration, left_out, settings.fit.seed)
    report = measure(head, test, EvaluateSettings(seed=settings.fit.seed), others, on_stage=on_stage)
    on_stage("writing")
    head.save(out, model_card(head, report))
    keeper.remove()
    return report


def _members(settings: TrainSettings, networks: LabelledNetworks, data: Path) -> tuple[Any, ForwardPass | None]:
    """The members' sizes, and how they run the networks if they do."""
    known = settings.forward_pass or known_pass(data, networks.point.architecture)
    name = settings.kind or ("monomial-probe" if known is not None else "monomial-nfn")
    sizes = sizes_of(name) if settings.sizes is None else settings.sizes
    if not HEAD_KINDS[kind_of(sizes)].runs:
        return sizes, None
    if known is None:
        cause = f"a {kind_of(sizes)} head runs the networks, and no file says how"
        raise DataError(data, cause, "give --input-size, --stride and --padding of their convolutions")
    return sizes, known


_PARTS: tuple[Part, Part, Part] = ("train", "calibration", "test")


def _split_seed(networks: LabelledNetworks, settings: TrainSettings, data: Path) -> int:
    if settings.split_seed is not None:
        return settings.split_seed
    seed = first_seed(networks.runs, settings.level)
    if seed is None:
        runs = len(set(networks.runs))
        parts = ", ".join(f"{least} for {part}" for part, least in FEWEST_RUNS.items())
        cause = f"{len(networks)} checkpoints of only {runs} runs cannot be split by run (at least {parts})"
        if runs < len(networks):
            remedy = f"give checkpoints of more runs (30 or more), or a --run-column other than {settings.run_column!r}"
            raise DataError(data, cause, f"{remedy} if more runs than these were trained")
        raise DataError(data, cause, "give checkpoints of more runs (30 or more; a few hundred make a good head)")
    return seed


def _part(networks: LabelledNetworks, part: Part, settings: TrainSettings, data: Path) -> LabelledNetworks:
    assert settings.split_seed is not None
    chosen = positions(networks.runs, part, settings.split_seed)
    runs = len({networks.runs[position] for position in chosen})
    if runs < _SMALLEST_PART:
        cause = f"only {runs} of {len(set(networks.runs))} runs fall into the {part} part"
        raise DataError(data, cause, "give checkpoints of more runs (30 or more)")
    return networks.select(chosen)


_SMALLEST_PART = min(FEWEST_RUNS.values())


def _ensemble(config: HeadConfig, networks: LabelledNetworks) -> Any:
    try:
        return config.new_model()
    except HeadError as error:
        # It was raised for the small network that a head is built from, of which the user knows nothing.
        raise HeadError(networks.point.architecture.describe(), error.cause, error.remedy) from error


def _fields(model: Any, networks: LabelledNetworks) -> list[Tensor]:
    fields: list[Tensor] = model.encode(networks.point)
    finite = torch.stack([values.flatten(1).isfinite().all(1) for values in fields]).all(0)
    if not finite.all():
        file = networks.files[int((~finite).nonzero()[0])]
        raise DataError(file, "weights beyond float32's range", "leave it out")
    return fields


# Each member leaves out one in eight of the training runs, which calibrate the interval together with the calibration
# runs. Fewer left out steady it less; of 530 runs, this many cost an ensemble of four about 0.002 of Kendall's τ.
_FEWEST_FOLDS = 8


def _folds(settings: TrainSettings) -> int:
    """How many folds the training runs are dealt into, so that each member leaves out one of its own."""
    return max(_FEWEST_FOLDS, settings.members)


def _record(data: Path, labels: Path | None, networks: LabelledNetworks, settings: TrainSettings) -> dict[str, Any]:
    """What the card and `nfn evaluate` need to know of the fit."""
    record: dict[str, Any] = {
        "data": data.resolve().name,
        "labels": labels and labels.name,
        "networks": len(networks),
        "runs": len(set(networks.runs)),
        "column": settings.column,
        "run_column": settings.run_column,
        "activation": settings.activation,
        "split_seed": settings.split_seed,
        "folds": _folds(settings),
        **asdict(settings.fit),
    }
    zoo = read_record(data)
    if zoo is not None:
        record["zoo"] = zoo
    if settings.outsiders:
        record["outsiders"] = {
            kind: {"data": folder.resolve().name, "zoo": read_record(folder)}
            for kind, folder in settings.outsiders.items()
        }
    return record


def _with_outcomes(config: HeadConfig, outcomes: Sequence[FitOutcome]) -> HeadConfig:
    """The configuration with the epoch that each member's weights are of."""
    return replace(config, fitted={**config.fitted, "kept_epochs": [outcome.kept for outcome in outcomes]})


def _made_of(networks: LabelledNetworks, settings: TrainSettings, device: torch.device) -> dict[str, Any]:
    """All that a fit follows from, under names that a refusal can tell."""
    contents = hashlib.sha256(repr((networks.runs, networks.files, networks.point.architecture.describe())).encode())
    for tensor in (networks.accuracies, *networks.point.tensors.values()):
        contents.update(tensor.contiguous().numpy().data)
    return {
        **asdict(settings.fit),
        "members": settings.members,
        "kind": settings.kind,
        "sizes": None if settings.sizes is None else asdict(settings.sizes),
        "forward pass": settings.forward_pass and settings.forward_pass.to_record(),
        "split seed": settings.split_seed,
        "number of folds": _folds(settings),
        "device": device.type,
        "data set": contents.hexdigest(),
    }
