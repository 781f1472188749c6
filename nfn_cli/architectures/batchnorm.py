"""Fold a BatchNorm into the layer before it.

In evaluation a BatchNorm is affine, y = γ (x − μ) / √(v + ε) + β, so behind a layer it is part of the layer's weight
and bias.
"""

from __future__ import annotations

from torch import Tensor

from nfn_cli.architectures.modules import BatchNorm

_EPSILON = 1e-5  # PyTorch's default; a state dict does not hold it


def fold(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight [out, ...] and bias [out], float64, of the layer and the BatchNorm behind it as one layer."""
    scale, shift = affine(norm)
    return weight.double() * scale.view(-1, *[1] * (weight.ndim - 1)), bias.double() * scale + shift


def affine(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift [n], float64, of a BatchNorm in evaluation."""
    scale = (norm.variance.double() + _EPSILON).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()
