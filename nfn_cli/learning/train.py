"""From labelled networks to a head's folder with its model card, whatever the task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nfn_cli.errors import HeadError
from nfn_cli.learning.card import model_card
from nfn_cli.learning.fit_state import StateKeeper
from nfn_cli.learning.fitting import fit_stages
from nfn_cli.learning.head_destination import require_head_destination
from nfn_cli.learning.out_of_distribution import read_out_of_distribution
from nfn_cli.learning.settings import EvaluateSettings, Report, TrainSettings
from nfn_cli.learning.tasks import LEARNING_TASKS, LearningTask
from nfn_cli.learning.tasks.task import Parts, require_float32
from nfn_cli.nn import Accepted, Head, HeadConfig
from nfn_cli.threads import threads_for, weights_of
from nfn_cli.zoo import LabelledNetworks


@dataclass(frozen=True)
class FitPlan:
    """What a fit will take.

    Attributes:
        networks: that are fitted to.
        members: fitted one after the other.
        epochs: of each member, at most; of an editor all of its epochs and steps.
    """

    networks: int
    members: int
    epochs: int

    @property
    def steps(self) -> int:
        """Epochs over all members; `on_epoch` is called after each."""
        return self.members * self.epochs


def train_head(
    data: Path,
    labels: Path | None,
    out: Path,
    settings: TrainSettings[Report],
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_plan: Callable[[FitPlan], None] = lambda plan: None,
    on_resume: Callable[[], None] = lambda: None,
    on_epoch: Callable[[float], None] = lambda loss: None,
    on_skip: Callable[[int], None] = lambda epochs: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Report:
    """Fit a head, calibrate it on networks that were held out, measure it on others, and write its folder.

    While it is being fitted, the folder holds the fit's state. A fit that was stopped goes on from there when it is
    called again with the same data and settings, and ends in the same head, bit for bit.

    Args:
        data, labels: as in `read_networks`, or of a zoo of INRs as in `read_inrs`.
        out: the head's folder.
        settings: of the task, such as `AccuracySettings`.
        overwrite: begin anew where the folder holds the state of another fit.
        on_plan: called with what the fit will take, before it begins. on_resume: where it goes on from a state.
        on_epoch: called with the mean loss after each epoch of each member.
        on_skip: called with how many epochs are not run: a state has them, or a member stopped early.
        on_stage: called with what comes next: reading, each member, calibrating, what is measured, writing.

    Returns:
        The measurement on test networks, which the model card also gives.

    Raises:
        DataError: unusable data, too few networks in a part, a folder that cannot be written or that holds the state
            of another fit.
        HeadError: networks that the kind of head does not read.
    """
    task: LearningTask[Any, Report] = LEARNING_TASKS[settings.task]
    on_stage("reading")
    networks = task.read(data, labels, settings)
    parts, settings = task.parts(networks, settings, data)
    require_float32(networks)
    require_head_destination(out)
    accepted = Accepted.of(networks.point.architecture)
    read_other = partial(task.read_other, settings=settings, activation=accepted.activation)
    others = read_out_of_distribution(settings.out_of_distribution, accepted, read_other)
    settings = task.decided(settings, parts.train, data, parts.fitted - len(parts.train))
    config = HeadConfig(
        accepted=accepted,
        sizes=settings.sizes,
        details=task.details(settings, parts.train),
        members=settings.members,
        fitted=_record(task, data, labels, settings) | task.facts(settings, networks, parts),
    )
    torch.manual_seed(settings.fit.seed)
    model = _model(config, networks).to(device)
    stages = task.stages(model, parts, settings, device)
    keeper = StateKeeper(out, _made_of(networks, parts, settings, device) | task.made_of(settings), overwrite=overwrite)
    on_plan(FitPlan(parts.fitted, settings.members, sum(stage.epochs for stage in stages) // settings.members))
    if keeper.saved is not None:
        on_resume()
    outcomes = fit_stages(stages, on_epoch, on_skip=on_skip, keeper=keeper, on_stage=on_stage)
    kept = [outcome.kept for outcome in outcomes]
    head = Head(out.resolve().name, replace(config, fitted={**config.fitted, "kept_epochs": kept}), model.eval())
    on_stage("calibrating")
    with threads_for(weights_of(parts.train.point)):
        task.calibrate(head, parts, settings)
    report = task.measure(head, parts.test, EvaluateSettings(seed=settings.fit.seed), others, on_stage=on_stage)
    on_stage("writing")
    head.save(out, model_card(head, task.card(head, report)))
    keeper.remove()
    return report


def _model(config: HeadConfig, networks: LabelledNetworks) -> Any:
    try:
        return config.new_model()
    except HeadError as error:
        # It was raised for the small network that a head is built from, which the user never sees.
        raise HeadError(networks.point.architecture.describe(), error.cause, error.remedy) from error


def _record(
    task: LearningTask[Any, Any], data: Path, labels: Path | None, settings: TrainSettings[Any]
) -> dict[str, Any]:
    """What the card and the evaluation need to know of every fit."""
    own = {"labels": labels and labels.name, "activation": settings.activation, **asdict(settings.fit)}
    record: dict[str, Any] = {"data": data.resolve().name, **own}
    zoo = task.zoo_record(data)
    if zoo is not None:
        record["zoo"] = zoo
    if settings.out_of_distribution:
        record["out_of_distribution"] = {
            name: {"data": folder.resolve().name, "zoo": task.zoo_record(folder)}
            for name, folder in settings.out_of_distribution.items()
        }
    return record


def _made_of(networks: LabelledNetworks, parts: Parts, settings: TrainSettings[Any], device: str) -> dict[str, Any]:
    """All that every fit follows from, under names that a refusal can give."""
    contents = hashlib.sha256()
    for own in (networks, *([parts.also] if parts.also else [])):
        known = (own.runs, own.files, own.splits, own.point.architecture.describe())
        contents.update(repr(known).encode())
        for tensor in (own.targets, *own.point.tensors.values()):
            contents.update(tensor.contiguous().numpy().data)
    return {
        **asdict(settings.fit),
        "members": settings.members,
        "kind": settings.kind,
        "sizes": asdict(settings.sizes),
        "device": torch.device(device).type,
        "data set": contents.hexdigest(),
    }
