"""From weight space to what a Monomial-NFN reads.

Under scalings the size of an entry means nothing, so every entry is divided by its own norm. Layers without constants
and ReLU are positively homogeneous, N(x / ‖x‖) = N(x) / ‖x‖: dividing first gives the same function of degree 0 as
dividing last, and keeps factors of 10⁴ between neurons out of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn.layout import Layout
from nfn_cli.symmetry import DiagonalKind


def read_fields(
    layout: Layout, point: NetworkWeights, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> list[Tensor]:
    """The fields of a batch of networks, [batch, neurons..., features] each, with entries of unit norm under scalings.

    A point in float32 or float64 is normalised as such and only then converted, so that nothing leaves float32's range.
    """
    sized = layout.kind is DiagonalKind.POSITIVE
    fields = zip(layout.fields, layout.pack(point), strict=True)
    return [
        (degree_zero(values) if sized and field.groups else values).to(dtype).to(device) for field, values in fields
    ]


def degree_zero(values: Tensor) -> Tensor:
    """x / ‖x‖ over the last axis, and 0 where x = 0: unchanged when x is multiplied by any d > 0."""
    norms = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    if norms.numel() and not (norms.min() > _LEAST and norms.max() < _MOST):
        # A square may have left the range (strong weight decay leaves subnormal numbers): divide by the largest first.
        largest = values.abs().amax(-1, keepdim=True)
        values = values / torch.where(largest > 0, largest, 1.0)
        norms = torch.linalg.vector_norm(values, dim=-1, keepdim=True).clamp_min(1.0)
    return values / norms


_LEAST, _MOST = 1e-15, 1e15
