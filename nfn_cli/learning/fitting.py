"""Fit a head's members to labelled networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.nn import Ensemble, MonomialNFN

_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class FitSettings:
    """The budget of a fit; the defaults are what the shipped heads were fitted with."""

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0


def fit_ensemble(
    model: Ensemble,
    fields: Sequence[Tensor],
    accuracies: Tensor,
    settings: FitSettings,
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> None:
    """Fit every member on its own, by the cross entropy of the predicted and the true accuracy.

    Args:
        model: freshly made; its members start from different random weights.
        fields: of the training networks, from `read_fields`, [networks, neurons..., features] each, on the model's
            device.
        accuracies: [networks], in [0, 1].
        on_epoch: told the mean loss after every epoch of every member.

    AdamW under a one-cycle learning rate, gradients clipped to norm 1. No augmentation: the members are invariant.
    """
    for number, member in enumerate(model.members):
        assert isinstance(member, MonomialNFN)
        member.standardise.fit(fields)
        _fit(member, fields, accuracies.float(), settings, settings.seed * 1_000 + number, on_epoch)


def _fit(
    member: MonomialNFN,
    fields: Sequence[Tensor],
    accuracies: Tensor,
    settings: FitSettings,
    seed: int,
    on_epoch: Callable[[float], None],
) -> None:
    count, device = len(accuracies), accuracies.device
    batch = min(settings.batch_size, count)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(member.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * (count // batch)
    )
    member.train()
    for _ in range(settings.epochs):
        order = torch.randperm(count, generator=generator).to(device)
        total = 0.0
        for start in range(0, count - batch + 1, batch):
            chosen = order[start : start + batch]
            loss = F.binary_cross_entropy_with_logits(member([values[chosen] for values in fields]), accuracies[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(member.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            total += loss.item()
        on_epoch(total / (count // batch))
    member.eval()
