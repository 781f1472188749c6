"""Training of one network, on the same batches in the same order as every other of its recipe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from networks import logits
from tasks import Pictures, Text
from torch import nn

_WARM_UP = 20
_MEASURED = 500


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        steps, batch: updates, and examples in each.
        rate: it grows linearly over the first 20 steps, then falls linearly to a tenth.
        optimizer: "adam" (AdamW) or "sgd" (momentum 0.9).
        decay: of weights.
        order: seed of the batches.
    """

    steps: int
    batch: int
    rate: float
    optimizer: str = "adam"
    decay: float = 0.0
    order: int = 0


def train(network: nn.Module, task: Pictures | Text, how: Training) -> nn.Module:
    """Train a network in place; it comes back in evaluation mode."""
    optimizer: torch.optim.Optimizer
    if how.optimizer == "adam":
        optimizer = torch.optim.AdamW(network.parameters(), how.rate, weight_decay=how.decay, fused=True)
    else:
        optimizer = torch.optim.SGD(network.parameters(), how.rate, momentum=0.9, weight_decay=how.decay)
    generator = torch.Generator().manual_seed(how.order)
    network.train()
    for step in range(how.steps):
        for group in optimizer.param_groups:
            group["lr"] = how.rate * min((step + 1) / _WARM_UP, 1 - 0.9 * step / how.steps)
        inputs, answers = task.batch(how.batch, generator)
        found = logits(network, inputs)
        optimizer.zero_grad()
        F.cross_entropy(found.flatten(0, -2), answers.flatten()).backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def loss_of(network: nn.Module, task: Pictures | Text) -> float:
    """Mean cross entropy in nats, on up to 500 examples."""
    inputs, answers = task.batch(_MEASURED, torch.Generator().manual_seed(1))
    found = logits(network.eval(), inputs)
    return F.cross_entropy(found.flatten(0, -2), answers.flatten()).item()
