"""Batches of sine networks at places: their values, and what a change of their weights does to these.

With z_i = ω₀ (W_i h_{i−1} + b_i), h_i = sin z_i, h_0 a place, the last layer without a sine:

    a_L = 1    a_i = ω₀ cos z_i ⊙ W_{i+1}ᵀ a_{i+1}    ∂f/∂W_i = a_i h_{i−1}ᵀ    ∂f/∂b_i = a_i

for each output f; a_i are the signals of that output, as back-propagation carries them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.errors import HeadError


@dataclass(frozen=True)
class Trace:
    """A batch of networks at P places.

    Attributes:
        values: of the C outputs, [batch, C, P].
        inputs: of every layer, h_{i−1}, [batch, P, inputs].
        signals: of every layer, a_i, [batch, C, P, outputs].
    """

    values: Tensor
    inputs: tuple[Tensor, ...]
    signals: tuple[Tensor, ...]


def require_sine_picture(architecture: Architecture) -> None:
    """Check that an architecture is a picture in a sine network.

    Raises:
        HeadError: it is another.
    """
    single = all(layer.spatial == 1 for layer in architecture.layers)
    if architecture.activation != "sin" or not architecture.is_picture or not single:
        cause = "it is no picture in a sine network (two coordinates, linear layers, sin)"
        raise HeadError(architecture.describe(), cause, "edit implicit neural representations of pictures")


def read_tensors(point: NetworkWeights, dtype: torch.dtype, device: str | torch.device = "cpu") -> list[Tensor]:
    """First weight, first bias, ... of a batch of networks, [batch, *shape] each.

    The phases of hidden sines are brought to one turn first, in float64, so that they are finest in any `dtype`.
    """
    turn = 2 * math.pi / point.architecture.omega_0
    tensors = []
    specs = point.architecture.tensors
    for position, spec in enumerate(specs):
        values = point.tensors[spec.name]
        if position % 2 and position + 1 < len(specs):
            exact = values.double()
            values = exact - turn * (exact / turn).round()
        tensors.append(values.to(device, dtype))
    return tensors


def sine_values(tensors: Sequence[Tensor], places: Tensor, omega_0: float) -> Tensor:
    """Values [batch, C, P] at places [P, 2]; differentiable."""
    return _forward(tensors, places, omega_0)[0]


def trace(tensors: Sequence[Tensor], places: Tensor, omega_0: float) -> Trace:
    """Values and signals at places [P, 2]; differentiable."""
    values, inputs, phases = _forward(tensors, places, omega_0)
    weights, _ = weights_and_biases(tensors)
    batch, channels, count = values.shape
    eye = torch.eye(channels, dtype=values.dtype, device=values.device)
    signal = eye[None, :, None].expand(batch, channels, count, channels)
    signals = [signal]
    for layer in range(len(phases) - 1, -1, -1):
        # One output's signals at the last hidden layer are a row of the last weight, at every place.
        signal = (signal @ weights[layer + 1][:, None]) * (omega_0 * phases[layer].cos())[:, None]
        signals.append(signal)
    return Trace(values, tuple(inputs), tuple(reversed(signals)))


def _forward(tensors: Sequence[Tensor], places: Tensor, omega_0: float) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Values, every layer's inputs, and the hidden phases z_i [batch, P, neurons]."""
    weights, biases = weights_and_biases(tensors)
    hidden = places.to(weights[0]).expand(len(weights[0]), -1, -1)
    inputs, phases = [hidden], []
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        phase = torch.baddbmm(bias[:, None], hidden, weight.mT, beta=omega_0, alpha=omega_0)
        hidden = phase.sin()
        inputs.append(hidden)
        phases.append(phase)
    return torch.baddbmm(biases[-1][:, None], hidden, weights[-1].mT).mT, inputs, phases
