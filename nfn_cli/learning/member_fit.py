"""The fit of one member, an epoch at a time, so that it can be stopped, saved and continued between two epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.learning.fit_state import FitState, generator_states, moments, restore_generators, restore_moments
from nfn_cli.threads import CHANNELS, threads_for

# Of outputs and targets, and how to reduce over the batch: "mean" or "sum".
Loss = Callable[[Tensor, Tensor, str], Tensor]

LARGEST_GRADIENT = 1.0
USUAL_BATCH = 64
# So many networks are validated at once; a head carries some thirty channels for every weight.
_VALIDATED_TOGETHER = 256


class Member(Protocol):
    """What a fit asks of a torch module: a network that reads a batch of networks.

    Inputs are tensors with the batch first, on the member's device; what else they hold, the member and
    its `encode` agree on (the fields of `read_fields`, for a Monomial-NFN).
    """

    def fit_normalisation(self, inputs: Sequence[Tensor], /) -> None:
        """Set the constants that follow from training networks, such as standardising ones."""

    def __call__(self, inputs: Sequence[Tensor], /) -> Tensor:
        """Logits [batch]; the sigmoid of one is an accuracy."""


@dataclass(frozen=True)
class FitSettings:
    """The budget of a fit; the shipped heads were fitted with the defaults.

    Attributes:
        epochs: passes over the training networks, at most; None takes what is usual, or as many as make 400 steps.
        batch_size: None takes 64.
        validation: share of the training runs that are not fitted to; the weights of the epoch that predicts them best
            are kept. 0 fits to all runs and keeps the last weights.
        patience: with `validation`, stop after so many epochs without a better one; None never stops early.
        seed: decides the order of the networks, and which runs validate.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0
    validation: float = 0.0
    patience: int | None = None

    @property
    def batch(self) -> int:
        """Networks in a batch."""
        return self.batch_size or USUAL_BATCH

    def epochs_for(self, networks: int, usual: int = 60, fewest_steps: int = 400) -> int:
        """How many epochs a fit to so many networks takes at most; `usual` ones where the settings do not say.

        With few networks an epoch has few steps, and the usual epochs end before the weights have moved far.
        """
        steps = max(1, networks // self.batch)
        return self.epochs or max(usual, math.ceil(fewest_steps / steps))


@dataclass(frozen=True)
class FitOutcome:
    """How the fit of one member ended.

    Attributes:
        epochs: run in all.
        kept: the epoch whose weights were kept.
        validation_loss: of that epoch, None without validation.
    """

    epochs: int
    kept: int
    validation_loss: float | None


def accuracy_loss(logits: Tensor, accuracies: Tensor, reduction: str) -> Tensor:
    """Cross entropy of predicted and true accuracy, of logits and accuracies [batch]."""
    return F.binary_cross_entropy_with_logits(logits, accuracies.float(), reduction=reduction)


def class_loss(logits: Tensor, classes: Tensor, reduction: str) -> Tensor:
    """Cross entropy of logits [batch, classes] and classes [batch]."""
    return F.cross_entropy(logits, classes, reduction=reduction)


class MemberFit:
    """AdamW under a one-cycle learning rate, gradients clipped to norm 1. No augmentation by the group: members are
    invariant.

    Args:
        member: a freshly made module that is a `Member`.
        inputs: of the training networks, [networks, ...] each, on the member's device.
        targets: [networks, ...], on the member's device: accuracies in [0, 1], classes, or pictures.
        settings: the budget; its seed is not used.
        seed: decides the order of the networks. Dropout draws from torch's global generator.
        validation: positions of the networks that validate; the others are fitted to.
        loss: of what the member gives, the targets, and how to reduce over the batch ("mean" or "sum").
        left_out: positions of networks that have no part in the fit at all.
        numbers: in the largest tensor that one network makes, which decides the threads; by default that of a head
            that reads all of the inputs.
    """

    def __init__(
        self,
        member: nn.Module,
        inputs: Sequence[Tensor],
        targets: Tensor,
        settings: FitSettings,
        seed: int,
        validation: Sequence[int] = (),
        loss: Loss = accuracy_loss,
        left_out: Sequence[int] = (),
        numbers: int | None = None,
    ) -> None:
        self._member, self._patience = member, settings.patience
        self._inputs, self._targets, self._loss_of = list(inputs), targets, loss
        self._device = targets.device
        held_out = set(validation)
        unseen = held_out.union(left_out)
        fitted = [position for position in range(len(targets)) if position not in unseen]
        self._fitted = torch.tensor(fitted)
        self._held_out = torch.tensor(sorted(held_out), dtype=torch.int64)
        cast(Member, member).fit_normalisation(self._rows(self._fitted) if unseen else self._inputs)
        self._batch = min(settings.batch, len(fitted))
        self._steps = len(fitted) // self._batch
        numbers = numbers or CHANNELS * sum(values[:1].numel() for values in self._inputs)
        self._numbers = numbers * self._batch
        self.epochs = settings.epochs_for(len(targets))
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.AdamW(
            member.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, settings.learning_rate, total_steps=self.epochs * self._steps
        )
        self.epoch = 0
        self._kept, self._best = 0, math.inf
        self._best_weights: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to run, or patience has run out."""
        patience = self._patience if len(self._held_out) else None
        return self.epoch >= self.epochs or (patience is not None and self.epoch - self._kept >= patience)

    def run_epoch(self) -> float:
        """Show the member every network once, in a random order that fills whole batches; the mean loss."""
        with threads_for(self._numbers):
            self._member.train()
            order = self._fitted[torch.randperm(len(self._fitted), generator=self._generator)].to(self._device)
            total = 0.0
            for start in range(0, len(order) - self._batch + 1, self._batch):
                chosen = order[start : start + self._batch]
                loss = self._loss(chosen)
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self._member.parameters(), LARGEST_GRADIENT)
                self._optimizer.step()
                self._schedule.step()
                total += loss.item()
            self.epoch += 1
            if len(self._held_out):
                self._validate()
            return total / self._steps

    def finish(self) -> FitOutcome:
        """Bring back the weights to keep, and leave the member in evaluation mode."""
        if self._best_weights:
            self._member.load_state_dict(self._best_weights)
        self._member.eval()
        if not len(self._held_out):
            return FitOutcome(self.epoch, self.epoch, None)
        return FitOutcome(self.epoch, self._kept, self._best)

    def state(self) -> FitState:
        """All that the coming epochs follow from, beside what the constructor was given."""
        tensors = {f"weights.{name}": tensor for name, tensor in self._member.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best_weights.items()}
        tensors |= moments(self._optimizer)
        tensors |= {f"generator.{name}": tensor for name, tensor in generator_states(self._device).items()}
        tensors["order"] = self._generator.get_state()
        values = {
            "epoch": self.epoch,
            "kept": self._kept,
            "best": self._best if math.isfinite(self._best) else None,
            "groups": self._optimizer.state_dict()["param_groups"],
            "schedule": self._schedule.state_dict(),
        }
        return FitState(tensors, values)

    def restore(self, state: FitState) -> None:
        """Continue from the state of a fit that was given the same; torch's global generators are set as well."""
        values = state.values
        self._member.load_state_dict(state.part("weights."))
        self._best_weights = state.part("best.")
        restore_moments(self._optimizer, state)
        self._schedule.load_state_dict(values["schedule"])
        self._generator.set_state(state.tensors["order"])
        restore_generators(state.part("generator."), self._device)
        self.epoch, self._kept = int(values["epoch"]), int(values["kept"])
        self._best = math.inf if values["best"] is None else float(values["best"])

    def _loss(self, chosen: Tensor, reduction: str = "mean") -> Tensor:
        logits: Any = self._member(self._rows(chosen))
        return self._loss_of(logits, self._targets[chosen], reduction)

    def _rows(self, chosen: Tensor) -> list[Tensor]:
        return [values[chosen] for values in self._inputs]

    @torch.no_grad()
    def _validate(self) -> None:
        self._member.eval()
        parts = self._held_out.to(self._device).split(_VALIDATED_TOGETHER)
        loss = sum(self._loss(part, "sum").item() for part in parts) / len(self._held_out)
        if loss < self._best:
            self._best, self._kept = loss, self.epoch
            self._best_weights = {name: tensor.clone() for name, tensor in self._member.state_dict().items()}
