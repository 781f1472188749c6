"""Tensors that are the same in both networks while most others are not.

A table that a formula fills, such as positions as sines and cosines, is the same in networks that have nothing else in
common. It says nothing of kinship, and it breaks what the exact test rests on: the neurons that it feeds are not equals.
Where most weights are the same, as after training a new head alone, they are what both networks share.
"""

from __future__ import annotations

import math

import torch

from nfn_cli.symmetry.kinship.pairing import Pair

_MOST = 0.5  # share of the weights; where more are the same they count


def constant_tensors(pair: Pair, tolerance: float) -> frozenset[str]:
    """Names of the tensors that are the same and say nothing; vectors are not looked at.

    Args:
        tolerance: ‖g·B − A‖ / ‖A‖ that is rounding.
    """
    sizes, same = 0, dict[str, int]()
    for tensor in pair.architecture.tensors:
        if sum(size > 1 for size in tensor.shape) < 2:
            continue
        name = next((own for own in tensor.names if own in pair.moved), None)
        if name is None:
            continue
        count = math.prod(tensor.shape)
        sizes += count
        ours, theirs = pair.moved[name], pair.reference[name]
        if ours.shape == theirs.shape and _equal(ours, theirs, tolerance):
            same[tensor.name] = count
    return frozenset(same) if sum(same.values()) < _MOST * sizes else frozenset()


def _equal(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> bool:
    # A few numbers tell most tensors apart.
    some = slice(0, 64)
    few = ours.reshape(-1)[some].double() - theirs.reshape(-1)[some].double()
    level = theirs.abs().max().double().item()
    if not level or bool((few.abs() > tolerance * level).any()):
        return not level and not bool(ours.any())
    difference = torch.linalg.vector_norm((ours.float() - theirs.float()).flatten())
    return bool(difference <= tolerance * torch.linalg.vector_norm(theirs.float().flatten()))
