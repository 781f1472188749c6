"""RMSNorm, with its gain as stored or one below it, and LayerNorm as modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / √(mean x² + ε) · gain, along the last axis.

    Args:
        size: of the last axis.
        eps: ε.
        offset: what is added to the stored gain (1 in Gemma).
    """

    def __init__(self, size: int, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps
        self.offset = offset

    def forward(self, values: Tensor) -> Tensor:
        wide = widened(values)
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        if self.offset:
            return narrowed(normed * (self.offset + widened(self.weight)), values)
        return self.weight * narrowed(normed, values)


class GammaNorm(nn.Module):
    """LayerNorm whose tensors are called as in TensorFlow: `gamma` and `beta`."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(size))
        self.beta = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.layer_norm(values, self.gamma.shape, self.gamma, self.beta, self.eps)


def widened(values: Tensor) -> Tensor:
    """At least in float32, which sums of squares and softmaxes need; float64 stays."""
    return values if values.dtype.itemsize >= 4 else values.float()


def narrowed(values: Tensor, like: Tensor) -> Tensor:
    """In the dtype of another tensor."""
    return values if values.dtype == like.dtype else values.to(like.dtype)
