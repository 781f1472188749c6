"""Fit the module of a head that edits INRs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.nn.inr.function_editor import FunctionEditor
from nfn_cli.nn.inr.sine_chain import sine_values
from nfn_cli.threads import threads_for

_LARGEST_GRADIENT = 1.0
_TOGETHER = 256


@dataclass(frozen=True)
class EditFit:
    """The budget of a fit.

    Attributes:
        epochs: passes over the training networks.
        batch_size, learning_rate: of these.
        tuning: Adam's steps on the numbers of the Levenberg–Marquardt steps, of a Function-Editor.
        tuning_batch, tuning_rate: of these.
        seed: decides initial weights and batches.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 3e-3
    tuning: int = 150
    tuning_batch: int = 4
    tuning_rate: float = 0.05
    seed: int = 0


def pictures_of(tensors: list[Tensor], places: Tensor, omega_0: float) -> Tensor:
    """Values of many networks at places, [networks, C, P], a batch at a time."""
    parts = zip(*(tensor.split(_TOGETHER) for tensor in tensors), strict=True)
    with torch.no_grad():
        return torch.cat([sine_values(part, places, omega_0) for part in parts])


def fit_painter(
    editor: FunctionEditor, pictures: Tensor, targets: Tensor, fit: EditFit, on_epoch: Callable[[float], None]
) -> None:
    """Fit a Function-Editor's convolutional network to edited pictures, by the mean squared error.

    Args:
        pictures, targets: as they are and edited, [networks, C, P].
        on_epoch: told the mean loss after each.
    """
    shape = (len(pictures), pictures.shape[1], *editor.picture)

    def loss(chosen: Tensor) -> Tensor:
        return (editor.painter(pictures.view(shape)[chosen]) - targets.view(shape)[chosen]).square().mean()

    descend(editor.painter, len(pictures), loss, fit, on_epoch, pixels=pictures.shape[2])


def tune_steps(
    editor: FunctionEditor, tensors: list[Tensor], targets: Tensor, fit: EditFit, on_step: Callable[[float], None]
) -> None:
    """Set metric, damping and rate of a Function-Editor's steps by the error of the edited networks' pictures.

    Args:
        tensors: of the training networks, [networks, *shape] each.
        targets: edited pictures [networks, C, P].
        on_step: told the loss after each.

    The loss is the mean over networks of log(error + 10⁻⁴): one network that goes astray must not drown the others.
    """
    numbers = [editor.log_metric, editor.log_damping, editor.rate]
    editor.painter.requires_grad_(False)
    optimizer = torch.optim.Adam(numbers, lr=fit.tuning_rate, betas=(0.9, 0.95))
    editor.train()
    order = _endless(len(targets), fit.tuning_batch, fit.seed)
    for number in range(fit.tuning):
        for group in optimizer.param_groups:
            group["lr"] = fit.tuning_rate * (1 + math.cos(math.pi * number / fit.tuning)) / 2
        chosen = next(order)
        own = [tensor[chosen] for tensor in tensors]
        # A step has a matrix of every weight by every pixel.
        with threads_for(sum(tensor.numel() for tensor in own) * targets[0].numel()):
            changes = editor(own)
            values = sine_values([a + b for a, b in zip(own, changes, strict=True)], editor.places, editor.omega_0)
            loss = (editor_error(values, targets[chosen]) + 1e-4).log().mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        if all(bool(parameter.grad.isfinite().all()) for parameter in numbers if parameter.grad is not None):
            nn.utils.clip_grad_norm_(numbers, _LARGEST_GRADIENT)
            optimizer.step()
        on_step(loss.item())
    editor.painter.requires_grad_(True)
    editor.eval()


def editor_error(values: Tensor, targets: Tensor) -> Tensor:
    """Mean squared errors [networks] of values in [-1, 1] [networks, C, P], counted for values in [0, 1]."""
    return (values - targets).square().mean((1, 2)) / 4


def descend(
    module: nn.Module,
    count: int,
    loss_of: Callable[[Tensor], Tensor],
    fit: EditFit,
    on_epoch: Callable[[float], None],
    *,
    pixels: int,
) -> None:
    """AdamW under a one-cycle learning rate, over batches of `count` networks; gradients clipped to norm 1.

    Args:
        loss_of: the loss of the networks at some positions.
        pixels: of one picture; with the module's widest layer they decide the threads.
    """
    module.train()
    batch = min(fit.batch_size, count)
    steps = count // batch
    optimizer = torch.optim.AdamW(module.parameters(), lr=fit.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, fit.learning_rate, total_steps=fit.epochs * steps)
    order = _endless(count, batch, fit.seed)
    widest = max(len(parameter) if parameter.ndim else 1 for parameter in module.parameters())
    for _ in range(fit.epochs):
        total = 0.0
        with threads_for(batch * pixels * widest):
            for _ in range(steps):
                loss = loss_of(next(order))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(module.parameters(), _LARGEST_GRADIENT)
                optimizer.step()
                schedule.step()
                total += loss.item()
        on_epoch(total / steps)
    module.eval()


def _endless(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Positions, a batch at a time, in a new random order for every pass."""
    generator = torch.Generator().manual_seed(seed)
    batch = min(batch, count)
    while True:
        yield from torch.randperm(count, generator=generator)[: count - count % batch].split(batch)
