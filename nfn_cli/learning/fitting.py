"""Fit a head's members to labelled networks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from torch import Tensor, nn

from nfn_cli.learning.fit_state import FitState, StateKeeper
from nfn_cli.learning.member_fit import FitOutcome, FitSettings, Member, MemberFit, accuracy_loss
from nfn_cli.learning.splits import validation_positions

__all__ = ["FitOutcome", "FitSettings", "Member", "fit_ensemble", "fit_member"]


class Members(Protocol):
    """A model of several members, such as `nfn_cli.nn.Ensemble`."""

    @property
    def members(self) -> nn.ModuleList:
        """Freshly made modules, each a `Member`."""


def fit_member(
    member: nn.Module,
    inputs: Sequence[Tensor],
    accuracies: Tensor,
    settings: FitSettings,
    seed: int,
    on_epoch: Callable[[float], None] = lambda loss: None,
    validation: Sequence[int] = (),
) -> FitOutcome:
    """Fit one network from its first epoch to its last.

    Args:
        member, inputs, accuracies, settings, seed, validation: as in `MemberFit`; the member is left in evaluation
            mode.
        on_epoch: told the mean loss after every epoch.
    """
    fit = MemberFit(member, inputs, accuracies, settings, seed, validation)
    while not fit.finished:
        on_epoch(fit.run_epoch())
    return fit.finish()


def fit_ensemble(
    model: Members,
    fields: Sequence[Tensor],
    targets: Tensor,
    settings: FitSettings,
    on_epoch: Callable[[float], None] = lambda loss: None,
    *,
    loss: Callable[[Tensor, Tensor, str], Tensor] = accuracy_loss,
    runs: Sequence[str] = (),
    left_out: Sequence[Sequence[int]] = (),
    on_skip: Callable[[int], None] = lambda epochs: None,
    keeper: StateKeeper | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[FitOutcome]:
    """Fit every member on its own.

    Args:
        model: freshly made; its members start from different random weights.
        fields: what the members take of the training networks, from `model.encode`, [networks, ...] each, on the
            model's device.
        targets, loss: as in `MemberFit`.
        on_epoch: told the mean loss after every epoch of every member.
        runs: the training run of each network; by these, each member holds out validation runs of its own.
        left_out: positions of the networks that the first member, the second, ... is not fitted to; none by default.
        on_skip: told of epochs that are not run: because a saved state has them, or a member stopped early.
        keeper: keeps the state on disk, and gives that of an earlier sitting.
        on_stage: told of each member before its epochs, such as `member 2 of 4`.

    Returns:
        How the fit of each member ended.
    """
    saved = keeper.saved if keeper else None
    outcomes = [FitOutcome(**values) for values in saved.values["outcomes"]] if saved else []
    for number, member in enumerate(model.members):
        on_stage(f"member {number + 1} of {len(model.members)}")
        if saved is not None and number < len(saved.values["outcomes"]):
            member.load_state_dict(saved.part(f"members.{number}."))
            member.eval()
            on_skip(settings.epochs_for(len(targets)))
            continue
        seed = settings.seed * 1_000 + number
        absent = left_out[number] if number < len(left_out) else ()
        validation = _validation(runs, absent, settings.validation, seed)
        fit = MemberFit(member, fields, targets, settings, seed, validation, loss, absent)
        if saved is not None and number == len(saved.values["outcomes"]):
            fit.restore(FitState(saved.part("member."), saved.values["member"]))
            on_skip(fit.epoch)
        while not fit.finished:
            on_epoch(fit.run_epoch())
            if keeper and keeper.due():
                keeper.save(_state(model, outcomes, fit))
        on_skip(fit.epochs - fit.epoch)
        outcomes.append(fit.finish())
    return outcomes


def _validation(runs: Sequence[str], left_out: Sequence[int], share: float, seed: int) -> list[int]:
    """Positions of the networks that validate a member, which are among those that it does not leave out."""
    absent = set(left_out)
    present = [position for position in range(len(runs)) if position not in absent]
    return [present[place] for place in validation_positions([runs[position] for position in present], share, seed)]


def _state(model: Members, outcomes: Sequence[FitOutcome], fit: MemberFit) -> FitState:
    """The finished members' weights, and the state of the fit under way."""
    tensors = {
        f"members.{number}.{name}": tensor
        for number in range(len(outcomes))
        for name, tensor in model.members[number].state_dict().items()
    }
    now = fit.state()
    tensors |= {f"member.{name}": tensor for name, tensor in now.tensors.items()}
    return FitState(tensors, {"outcomes": [asdict(outcome) for outcome in outcomes], "member": now.values})
