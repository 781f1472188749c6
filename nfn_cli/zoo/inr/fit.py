"""Fit many SIRENs at once, one a picture, by batched matrix products.

The gradient is written out: the networks are so small that a general engine would spend most of its time on itself.
With z_i = ω₀ (W_i h_{i−1} + b_i), h_i = sin z_i and the error r of the last layer's output,

    δ_L = 2 r / (pixels × channels)    δ_i = ω₀ cos z_i ⊙ W_{i+1}ᵀ δ_{i+1}    ∂W_i = δ_i h_{i−1}ᵀ    ∂b_i = Σ δ_i
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nfn_cli.zoo.inr.siren import Siren

_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.99, 1e-8
_WARM_UP = 0.05
_REPORTED_EVERY = 10


def fit_sirens(
    siren: Siren,
    start: Tensor,
    pictures: Tensor,
    places: Tensor,
    steps: int,
    learning_rate: float,
    on_steps: Callable[[int], None] = lambda steps: None,
) -> Tensor:
    """Fit one network to each picture, by the mean squared error over its pixels.

    Args:
        siren: the architecture of all.
        start: parameters of new networks, float32 or float64 [networks, parameter_count].
        pictures: [networks, channels, pixels], in [-1, 1].
        places: [pixels, 2].
        steps: full-batch steps of Adam.
        learning_rate: at which it starts (after a short warm-up; it falls along a half cosine).
        on_steps: called with the number of network-steps done since the last call.

    Returns:
        The fitted parameters [networks, parameter_count].
    """
    engine = Engine(siren, start.clone(), pictures, places)
    parameters, gradient = engine.parameters, engine.gradient
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    reported = 0
    for step in range(steps):
        engine.differentiate()
        mean.lerp_(gradient, 1 - _DECAY)
        square.mul_(_SQUARE_DECAY).addcmul_(gradient, gradient, value=1 - _SQUARE_DECAY)
        size = (square / (1 - _SQUARE_DECAY ** (step + 1))).sqrt_().add_(_EPSILON)
        parameters.addcdiv_(mean, size, value=-_rate(step, steps, learning_rate) / (1 - _DECAY ** (step + 1)))
        if (step + 1 - reported) == _REPORTED_EVERY or step + 1 == steps:
            on_steps((step + 1 - reported) * len(start))
            reported = step + 1
    return parameters


def _rate(step: int, steps: int, learning_rate: float) -> float:
    warm = min(1.0, (step + 1) / max(1.0, _WARM_UP * steps))
    return learning_rate * warm * (1 + math.cos(math.pi * step / steps)) / 2


def peak_signal_to_noise(error: Tensor) -> Tensor:
    """PSNR in dB of mean squared errors of pictures in [-1, 1]: 10 log₁₀(2² / error)."""
    return 10 * (4 / error.clamp_min(1e-20)).log10()


class Engine:
    """Outputs and gradients of a batch of SIRENs, in buffers that are used again in every step.

    Attributes:
        parameters: [networks, parameter_count], read in every call.
        gradient: of the networks' mean squared errors, [networks, parameter_count]; written by `differentiate`.
    """

    def __init__(self, siren: Siren, parameters: Tensor, pictures: Tensor, places: Tensor) -> None:
        networks, pixels = len(parameters), len(places)
        self.parameters, self.gradient = parameters, torch.zeros_like(parameters)
        self._omega_0 = siren.omega_0
        self._weights, self._biases = _layers(siren, parameters)
        self._weight_gradients, self._bias_gradients = _layers(siren, self.gradient)
        self._pictures = pictures
        shape = (networks, siren.width, pixels)
        self._inputs = places.T.to(parameters).expand(networks, -1, -1).contiguous()
        self._hidden = [parameters.new_empty(shape) for _ in range(siren.hidden_layers)]
        self._cosines = [parameters.new_empty(shape) for _ in range(siren.hidden_layers)]
        self._flow = [parameters.new_empty(shape), parameters.new_empty(shape)]

    def errors(self) -> Tensor:
        """Mean squared errors [networks]."""
        return self._residual().square().mean((1, 2))

    def differentiate(self) -> None:
        """Write the gradient of every network's mean squared error."""
        delta = self._residual(cosines=True).mul_(2 / self._pictures[0].numel())
        for layer in range(len(self._weights) - 1, -1, -1):
            before = self._hidden[layer - 1] if layer else self._inputs
            torch.bmm(delta, before.mT, out=self._weight_gradients[layer])
            torch.sum(delta, 2, keepdim=True, out=self._bias_gradients[layer])
            if layer:
                flow = self._flow[layer % 2]
                torch.bmm(self._weights[layer].mT, delta, out=flow)
                delta = flow.mul_(self._cosines[layer - 1]).mul_(self._omega_0)

    def _residual(self, *, cosines: bool = False) -> Tensor:
        """Output less picture, [networks, channels, pixels]."""
        values = self._inputs
        for layer, hidden in enumerate(self._hidden):
            phase = self._flow[0]
            bias = self._biases[layer].expand_as(phase)
            torch.baddbmm(bias, self._weights[layer], values, beta=self._omega_0, alpha=self._omega_0, out=phase)
            if cosines:
                torch.cos(phase, out=self._cosines[layer])
            values = torch.sin(phase, out=hidden)
        return torch.baddbmm(self._biases[-1], self._weights[-1], values).sub_(self._pictures)


def _layers(siren: Siren, parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Views of the weights [networks, out, in] and biases [networks, out, 1] of every layer."""
    parts = list(siren.split(parameters).values())
    return parts[::2], [bias[..., None] for bias in parts[1::2]]
