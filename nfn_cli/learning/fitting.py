"""Run the fits that make a head, one after the other: one for each member of an ensemble, or an editor's stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from nfn_cli.learning.fit_state import FitState, StateKeeper
from nfn_cli.learning.member_fit import FitOutcome, FitSettings, Loss, MemberFit, accuracy_loss
from nfn_cli.learning.splits import validation_positions


class Fit(Protocol):
    """A fit that can be stopped, saved and continued between two epochs, such as a `MemberFit`."""

    epoch: int
    epochs: int

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to run."""

    def run_epoch(self) -> float:
        """Run one epoch; the mean loss."""

    def finish(self) -> FitOutcome:
        """Leave the module ready for use."""

    def state(self) -> FitState:
        """All that the coming epochs follow from, beside what the fit was made of."""

    def restore(self, state: FitState) -> None:
        """Continue from what `state` gave."""


@dataclass(frozen=True)
class Stage:
    """One fit of several.

    Attributes:
        name: shown before its epochs, such as `member 2 of 4`.
        module: whose weights it sets.
        epochs: how many it has at most.
        begin: makes the fit.
    """

    name: str
    module: nn.Module
    epochs: int
    begin: Callable[[], Fit]


def fit_member(
    member: nn.Module,
    inputs: Sequence[Tensor],
    accuracies: Tensor,
    settings: FitSettings,
    seed: int,
    on_epoch: Callable[[float], None] = lambda loss: None,
    validation: Sequence[int] = (),
    loss: Loss = accuracy_loss,
) -> FitOutcome:
    """Fit one network from its first epoch to its last.

    Args:
        member, inputs, accuracies, settings, seed, validation, loss: as in `MemberFit`; the member is left in
            evaluation mode.
        on_epoch: called with the mean loss after every epoch.
    """
    fit = MemberFit(member, inputs, accuracies, settings, seed, validation, loss)
    while not fit.finished:
        on_epoch(fit.run_epoch())
    return fit.finish()


def ensemble_stages(
    model: Any,
    inputs: Sequence[Tensor],
    targets: Tensor,
    settings: FitSettings,
    *,
    loss: Loss = accuracy_loss,
    runs: Sequence[str] = (),
    left_out: Sequence[Sequence[int]] = (),
) -> list[Stage]:
    """A stage for every member, which is fitted on its own.

    Args:
        model: freshly made, with `members` (each a `Member`), such as `nfn_cli.nn.ensemble.Ensemble`; they start from
            different random weights.
        inputs: what the members take of the training networks, [networks, ...] each, on the model's device.
        targets, loss: as in `MemberFit`.
        runs: the training run of each network; by these, each member holds out validation runs of its own.
        left_out: positions of the networks that the first member, the second, ... is not fitted to; none by default.
    """

    def begin(number: int) -> MemberFit:
        seed = settings.seed * 1_000 + number
        absent = left_out[number] if number < len(left_out) else ()
        present = sorted(set(range(len(runs))).difference(absent))
        own_runs = [runs[position] for position in present]
        validation = [present[position] for position in validation_positions(own_runs, settings.validation, seed)]
        return MemberFit(model.members[number], inputs, targets, settings, seed, validation, loss, absent)

    count, epochs = len(model.members), settings.epochs_for(len(targets))
    return [
        Stage(f"member {number + 1} of {count}", member, epochs, lambda number=number: begin(number))  # type: ignore[misc]
        for number, member in enumerate(model.members)
    ]


def fit_stages(
    stages: Sequence[Stage],
    on_epoch: Callable[[float], None] = lambda loss: None,
    *,
    on_skip: Callable[[int], None] = lambda epochs: None,
    keeper: StateKeeper | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[FitOutcome]:
    """Run stages in their order.

    Args:
        on_epoch: called with the mean loss after every epoch of every stage.
        on_skip: called with how many epochs are not run: a saved state has them, or a member stopped early.
        keeper: keeps the state on disk, and gives that of an earlier sitting.
        on_stage: called with the name of each stage before its epochs.

    Returns:
        How each ended.
    """
    saved = keeper.saved if keeper else None
    outcomes = [FitOutcome(**values) for values in saved.values["outcomes"]] if saved else []
    before = len(outcomes)
    for number, stage in enumerate(stages):
        on_stage(stage.name)
        if saved is not None and number < before:
            stage.module.load_state_dict(saved.part(f"members.{number}."))
            stage.module.eval()
            on_skip(stage.epochs)
            continue
        fit = stage.begin()
        if saved is not None and number == before:
            fit.restore(FitState(saved.part("member."), saved.values["member"]))
            on_skip(fit.epoch)
        while not fit.finished:
            on_epoch(fit.run_epoch())
            if keeper and keeper.due():
                keeper.save(_state(stages, outcomes, fit))
        on_skip(fit.epochs - fit.epoch)
        outcomes.append(fit.finish())
    return outcomes


def _state(stages: Sequence[Stage], outcomes: Sequence[FitOutcome], fit: Fit) -> FitState:
    """The weights of finished stages, and the state of the fit under way."""
    tensors = {
        f"members.{number}.{name}": tensor
        for number in range(len(outcomes))
        for name, tensor in stages[number].module.state_dict().items()
    }
    now = fit.state()
    tensors |= {f"member.{name}": tensor for name, tensor in now.tensors.items()}
    return FitState(tensors, {"outcomes": [asdict(outcome) for outcome in outcomes], "member": now.values})
