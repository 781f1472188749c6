"""Weight initialisers of the Small CNN Zoo, with the conventions of Keras that it used.

Glorot and He are drawn from a normal distribution truncated at two standard deviations and rescaled to the nominal
variance; `orthogonal` is orthogonal over the flattened (fan-in, out) matrix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Standard deviation of a unit normal distribution that is cut at ±2.
_TRUNCATED_STD = 0.87962566103423978


def initial_weight(shape: tuple[int, ...], name: str, scale: float, generator: torch.Generator) -> Tensor:
    """Draw one weight, float32, of `shape` = [out, in, *kernel].

    `scale` is the standard deviation of `normal` and `truncated_normal`; the other initialisers ignore it.
    """
    fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
    if name == "normal":
        return torch.randn(shape, generator=generator) * scale
    if name == "truncated_normal":
        return _truncated_normal(shape, generator) * scale
    if name == "glorot_normal":
        return _truncated_normal(shape, generator) * (math.sqrt(2 / (fan_in + fan_out)) / _TRUNCATED_STD)
    if name == "he_normal":
        return _truncated_normal(shape, generator) * (math.sqrt(2 / fan_in) / _TRUNCATED_STD)
    if name == "orthogonal":
        weight = torch.empty(shape)
        return torch.nn.init.orthogonal_(weight, generator=generator)
    raise ValueError(f"unknown initialiser {name!r}")


def _truncated_normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.nn.init.trunc_normal_(torch.empty(shape), a=-2.0, b=2.0, generator=generator)
