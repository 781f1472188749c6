"""Fit the detector of a fitted head, which finds networks out of its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning.batches import batches
from nfn_cli.learning.out_of_distribution import Maker
from nfn_cli.zoo import LabelledNetworks


def fit_detector(
    model: Any,
    train: LabelledNetworks,
    held_out: Tensor,
    makers: Sequence[Maker],
    generator: torch.Generator,
    seed: int,
) -> None:
    """Set the detector of an ensemble.

    Args:
        model: an `nfn_cli.nn.ensemble.Ensemble`.
        train: networks that its members were fitted to.
        held_out: invariants of others [networks, n], from which the detector's limits follow.
        makers: of networks that it learns to distinguish from training networks.
        generator: of what is made.
        seed: of the detector's training.
    """
    _, invariants = logits_and_invariants(model, train.point)
    made = [logits_and_invariants(model, make(train.point, generator))[1] for make in makers]
    model.ood_detector.fit(invariants, held_out, torch.stack(made), train.runs, seed)


def logits_and_invariants(model: Any, point: NetworkWeights) -> tuple[Tensor, Tensor]:
    """Logits [networks, ...] and invariants [networks, n] of many networks, on the model's device."""
    pairs = [model(model.encode(batch)) for batch in batches(point)]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([invariants for _, invariants in pairs])
