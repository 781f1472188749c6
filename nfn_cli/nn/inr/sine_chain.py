"""Batches of sine networks at coordinates: their values, and what a change of their weights does to these.

With z_i = ω₀ (W_i h_{i−1} + b_i), h_i = sin z_i, h_0 coordinates, the last layer without a sine:

    a_L = 1    a_i = ω₀ cos z_i ⊙ W_{i+1}ᵀ a_{i+1}    ∂f/∂W_i = a_i h_{i−1}ᵀ    ∂f/∂b_i = a_i

for each output f; a_i are the signals of that output, as back-propagation carries them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, picture_values, with_phases_within_one_turn
from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.errors import HeadError


@dataclass(frozen=True)
class Trace:
    """A batch of networks at P pairs of coordinates.

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
    tensors = [point.tensors[spec.name] for spec in point.architecture.tensors]
    return [values.to(device, dtype) for values in with_phases_within_one_turn(point.architecture, tensors)]


def sine_values(tensors: Sequence[Tensor], coordinates: Tensor, omega_0: float) -> Tensor:
    """Values [batch, C, P] at coordinates [P, 2]; differentiable."""
    return picture_values(tensors, coordinates, "sin", [omega_0] * (len(tensors) // 2 - 1)).mT


def trace(tensors: Sequence[Tensor], coordinates: Tensor, omega_0: float) -> Trace:
    """Values and signals at coordinates [P, 2]; differentiable."""
    hidden: list[tuple[Tensor, Tensor]] = []
    values = picture_values(tensors, coordinates, "sin", [omega_0] * (len(tensors) // 2 - 1), hidden).mT
    weights, _ = weights_and_biases(tensors)
    inputs = (coordinates.to(values).expand(len(values), -1, -1), *(given for _, given in hidden))
    batch, channels, count = values.shape
    eye = torch.eye(channels, dtype=values.dtype, device=values.device)
    signal = eye[None, :, None].expand(batch, channels, count, channels)
    signals = [signal]
    for layer in range(len(hidden) - 1, -1, -1):
        # One output's signals at the last hidden layer are a row of the last weight, at all coordinates.
        signal = (signal @ weights[layer + 1][:, None]) * (omega_0 * hidden[layer][0].cos())[:, None]
        signals.append(signal)
    return Trace(values, inputs, tuple(reversed(signals)))
