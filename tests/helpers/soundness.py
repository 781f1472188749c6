"""Whether what a group does to weights leaves a module's outputs alone."""

from __future__ import annotations

from typing import Any

import torch
from random_networks import tensors
from torch import Tensor, nn
from traced_group import Group

ALONE_AND_TOGETHER = {
    "permutations": (True, False, False),
    "scales": (False, True, False),
    "signs": (False, False, True),
    "all": (True, True, True),
}


def outputs(module: nn.Module, state: dict[str, Tensor], inputs: tuple[Any, ...]) -> list[Tensor]:
    """What a module answers with other weights."""
    with torch.no_grad():
        return tensors(torch.func.functional_call(module, state, inputs, tie_weights=False))


def deviation(expected: list[Tensor], found: list[Tensor]) -> float:
    """The largest change of an output, relative to the largest number in it."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        size = one.abs().max().item()
        change = (one - other).abs().max().item()
        worst = max(worst, change / size if size else change)
        if not other.isfinite().all():
            return float("inf")
    return worst


def deviations(module: nn.Module, inputs: tuple[Any, ...], group: Group, samples: int = 2) -> dict[str, float]:
    """By kind of element: the worst of some random ones."""
    expected = outputs(module, dict(module.state_dict()), inputs)
    found = {}
    for kind, (permute, scale, sign) in ALONE_AND_TOGETHER.items():
        moved = (group.sample(seed, permute, scale, sign) for seed in range(samples))
        found[kind] = max(deviation(expected, outputs(module, state, inputs)) for state in moved)
    return found
