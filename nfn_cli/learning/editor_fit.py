"""Fit the module of a head that edits INRs: by the pictures of the edited networks, without any data but the networks.

A Function-Editor is fitted in two stages, first its convolutional network by edited pictures, then the numbers of its
solver; an editor of one forward pass is fitted in one, by the pictures of the networks that it gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import pixel_grid
from nfn_cli.learning.fit_state import FitState, moments, restore_moments
from nfn_cli.learning.fitting import Stage
from nfn_cli.learning.member_fit import LARGEST_GRADIENT, FitOutcome, FitSettings, MemberFit
from nfn_cli.nn.inr.function_editor import FunctionEditor
from nfn_cli.nn.inr.sine_chain import read_tensors, sine_values
from nfn_cli.nn.names import EDITS
from nfn_cli.threads import threads_for
from nfn_cli.zoo import LabelledNetworks

_TOGETHER = 256
_EDITED_TOGETHER = 512


@dataclass(frozen=True)
class EditFit(FitSettings):
    """The budget of a fit, see `FitSettings`.

    Attributes:
        tuning: Adam's steps on the numbers of the Levenberg–Marquardt steps, of a Function-Editor.
        tuning_batch, tuning_rate: of these.
    """

    epochs: int | None = 20
    tuning: int = 150
    tuning_batch: int = 4
    tuning_rate: float = 0.05


def pictures_of(tensors: list[Tensor], places: Tensor, omega_0: float) -> Tensor:
    """Values of many networks at places, [networks, C, P], a batch at a time."""
    parts = zip(*(tensor.split(_TOGETHER) for tensor in tensors), strict=True)
    with torch.no_grad():
        return torch.cat([sine_values(part, places, omega_0) for part in parts])


def editor_error(values: Tensor, targets: Tensor) -> Tensor:
    """Mean squared errors [networks] of values in [-1, 1] [networks, C, P], counted for values in [0, 1]."""
    return (values - targets).square().mean((1, 2)) / 4


def editor_stages(
    module: Any, train: LabelledNetworks, edit: str, picture: tuple[int, int], fit: EditFit, device: str
) -> list[Stage]:
    """The stages that fit an editor's module.

    Args:
        train: networks whose edited pictures are the targets.
        edit, picture: as in `EditDetails`.
    """
    plain = read_tensors(train.point, torch.float32, device)
    places, omega_0 = pixel_grid(*picture).to(device), train.point.architecture.omega_0
    pictures = pictures_of(plain, places, omega_0)  # [networks, C, P]
    targets = _edited(pictures, edit, picture)
    if not isinstance(module, FunctionEditor):
        return [_stage(_Shown(module, places, omega_0), module.encode(train.point), targets, _shown_loss, fit)]
    shape = (len(pictures), pictures.shape[1], *picture)
    painting = _stage(_Painting(module), [pictures.view(shape)], targets.view(shape), _picture_loss, fit)
    if not fit.tuning:
        return [painting]
    return [painting, Stage("tuning", module, fit.tuning, lambda: StepTuning(module, plain, targets, fit))]


def _stage(member: nn.Module, inputs: list[Tensor], targets: Tensor, loss: Any, fit: EditFit) -> Stage:
    widest = max(len(parameter) if parameter.ndim else 1 for parameter in member.parameters())
    pixels = targets[0, 0].numel()
    epochs = fit.epochs_for(len(targets))
    return Stage(
        "fitting",
        member,
        epochs,
        lambda: MemberFit(member, inputs, targets, fit, fit.seed, loss=loss, numbers=pixels * widest),
    )


class _Painting(nn.Module):
    """A Function-Editor's convolutional network: from pictures [networks, C, height, width] to edited ones."""

    def __init__(self, editor: FunctionEditor) -> None:
        super().__init__()
        self.painter = editor.painter

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Pictures are in [-1, 1] already."""

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        painted: Tensor = self.painter(inputs[0])
        return painted


class _Shown(nn.Module):
    """From networks to the pictures of the networks that a module makes of them, [networks, C, P]."""

    def __init__(self, module: Any, places: Tensor, omega_0: float) -> None:
        super().__init__()
        self.module, self._places, self._omega_0 = module, places, omega_0

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the module's constants."""
        self.module.fit_normalisation(inputs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        new = [old + change for old, change in zip(inputs, self.module(inputs), strict=True)]
        return sine_values(new, self._places, self._omega_0)


class StepTuning:
    """Sets metric, damping and rate of a Function-Editor's steps by the error of the edited networks' pictures; an
    epoch is one step of Adam.

    The loss is the mean over networks of log(error + 10⁻⁴): one network that goes astray must not drown the others.

    Args:
        tensors: of the training networks, [networks, *shape] each.
        targets: edited pictures [networks, C, P].
    """

    def __init__(self, editor: FunctionEditor, tensors: list[Tensor], targets: Tensor, fit: EditFit) -> None:
        self._editor, self._tensors, self._targets, self._fit = editor, tensors, targets, fit
        self._numbers = [editor.log_metric, editor.log_damping, editor.rate]
        self._optimizer = torch.optim.Adam(self._numbers, lr=fit.tuning_rate, betas=(0.9, 0.95))
        self._order = _endless(len(targets), fit.tuning_batch, fit.seed)
        self.epoch, self.epochs = 0, fit.tuning
        editor.painter.requires_grad_(False)
        editor.train()

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.epoch >= self.epochs

    def run_epoch(self) -> float:
        """One step; its loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._fit.tuning_rate * (1 + math.cos(math.pi * self.epoch / self.epochs)) / 2
        chosen = next(self._order)
        own = [tensor[chosen] for tensor in self._tensors]
        # A step has a matrix of every weight by every pixel.
        with threads_for(sum(tensor.numel() for tensor in own) * self._targets[0].numel()):
            new = [old + change for old, change in zip(own, self._editor(own), strict=True)]
            values = sine_values(new, self._editor.places, self._editor.omega_0)
            loss = (editor_error(values, self._targets[chosen]) + 1e-4).log().mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        if all(bool(number.grad.isfinite().all()) for number in self._numbers if number.grad is not None):
            nn.utils.clip_grad_norm_(self._numbers, LARGEST_GRADIENT)
            self._optimizer.step()
        self.epoch += 1
        return loss.item()

    def finish(self) -> FitOutcome:
        """Leave the editor in evaluation mode."""
        self._editor.painter.requires_grad_(True)
        self._editor.eval()
        return FitOutcome(self.epoch, self.epoch, None)

    def state(self) -> FitState:
        """The numbers, Adam's moments, and how many steps were done."""
        tensors = {f"numbers.{position}": number.detach() for position, number in enumerate(self._numbers)}
        groups = self._optimizer.state_dict()["param_groups"]
        return FitState(tensors | moments(self._optimizer), {"epoch": self.epoch, "groups": groups})

    @torch.no_grad()
    def restore(self, state: FitState) -> None:
        """Continue from the state of a fit that was given the same."""
        for position, number in enumerate(self._numbers):
            number.copy_(state.tensors[f"numbers.{position}"])
        restore_moments(self._optimizer, state)
        self.epoch = int(state.values["epoch"])
        self._order = islice(_endless(len(self._targets), self._fit.tuning_batch, self._fit.seed), self.epoch, None)


def _picture_loss(values: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Mean squared error of pictures, for values in [-1, 1]."""
    squares = (values - targets).square()
    return squares.mean() if reduction == "mean" else squares.flatten(1).mean(1).sum()


def _shown_loss(values: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """The same for values in [0, 1]."""
    errors = editor_error(values, targets)
    return errors.mean() if reduction == "mean" else errors.sum()


def _endless(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Positions, a batch at a time, in a new random order for every pass."""
    generator = torch.Generator().manual_seed(seed)
    batch = min(batch, count)
    while True:
        yield from torch.randperm(count, generator=generator)[: count - count % batch].split(batch)


def _edited(pictures: Tensor, edit: str, picture: tuple[int, int]) -> Tensor:
    """Edited pictures [networks, C, P] of pictures in that shape."""
    parts = pictures.unflatten(2, picture).split(_EDITED_TOGETHER)
    return torch.cat([EDITS[edit](part.cpu()).flatten(2).to(part) for part in parts])
