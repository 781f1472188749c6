"""The phases of sines: sin(ω₀ (z + b)) is the same for b and for b + 2π/ω₀."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from nfn_cli.architectures.architecture import Architecture


def within_one_turn(biases: Tensor, omega_0: float) -> Tensor:
    """The biases from -π/ω₀ to π/ω₀ that give the same sines, in float64.

    >>> import torch
    >>> within_one_turn(torch.tensor([0.25, 2.25]), math.pi).tolist()
    [0.25, 0.25]
    """
    turn, exact = 2 * math.pi / omega_0, biases.double()
    return exact - turn * (exact / turn).round()


def with_phases_within_one_turn(architecture: Architecture, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors in the order of an architecture's, hidden biases in float64 within one turn, in which any dtype is
    finest; the same tensors where the activation is no sine."""
    if architecture.activation != "sin":
        return list(tensors)
    hidden = {spec.name for spec in architecture.biases[:-1]}
    return [
        within_one_turn(values, architecture.omega_0) if spec.name in hidden else values
        for spec, values in zip(architecture.tensors, tensors, strict=True)
    ]
