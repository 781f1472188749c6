"""Random elements of the group that leaves a network's function unchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.symmetry.diagonal_kinds import group_kind, phase_step
from nfn_cli.symmetry.element import GroupElement


def sample_element(
    architecture: Architecture,
    generator: torch.Generator,
    *,
    batch: Sequence[int] = (),
    scale_range: tuple[float, float] = (1.0, 1e4),
    scale: bool = True,
    flip: bool = True,
    permute: bool = True,
    phase: bool = False,
) -> GroupElement:
    """Draw an element: log-uniform scales, fair signs and uniform permutations, each where the activation allows it.

    Args:
        batch: leading axes, one independent element each.
        scale_range: lowest and highest |d| where the group has scalings.
        scale, flip, permute: switch each part off.
        phase: behind sines with a bias, shift phases too, by −1, 0 or 1 half-turns (whole turns where a sign may not
            change).
    """
    low, high = (math.log(bound) for bound in scale_range)
    permutations: list[Tensor] = []
    diagonals: list[Tensor] = []
    half_turns: list[Tensor] = []
    for position, group in enumerate(architecture.groups):
        shape = (*batch, group.size)
        kind = group_kind(architecture, position)
        order = torch.rand(shape, generator=generator, dtype=torch.float64).argsort(-1)
        permutations.append(order if permute and not group.in_place else torch.arange(group.size).expand(shape).clone())
        diagonal = torch.ones(shape, dtype=torch.float64)
        if scale and kind.is_scaled:
            uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
            diagonal = (low + (high - low) * uniform).exp().clamp(*scale_range)  # exp(log(x)) rounds
        if flip and kind.is_signed:
            diagonal = diagonal * (2 * torch.randint(2, shape, generator=generator) - 1)
        diagonals.append(diagonal)
        shifts = torch.zeros(shape, dtype=torch.int64)
        if phase and (step := phase_step(architecture, position)):
            shifts = step * torch.randint(-1, 2, shape, generator=generator)
        half_turns.append(shifts)
    return GroupElement(tuple(permutations), tuple(diagonals), tuple(half_turns))
