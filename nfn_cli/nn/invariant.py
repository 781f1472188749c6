"""The invariant layer: what of an entry no group element can change, averaged over neurons.

Source: arXiv 2409.11697, equations 20 to 22.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.layout import Layout
from nfn_cli.symmetry import DiagonalKind


def degree_zero(values: Tensor) -> Tensor:
    """x / ‖x‖ over the last axis, and 0 where x = 0: unchanged when x is multiplied by any d > 0.

    The largest entry is divided out first, so that neither a scale of 1e30 nor of 1e-30 leaves float32's range. It
    cancels, so no gradient goes through it.
    """
    largest = values.detach().abs().amax(-1, keepdim=True)
    scaled = values / torch.where(largest > 0, largest, 1.0)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).clamp_min(1.0)


class MonomialInvariant(nn.Module):
    """Turns fields into one vector a network that every group element leaves as it is.

    Each entry x ∈ ℝ^features becomes ReLU(A α(x) + c), where α(x) = x/‖x‖ is positively homogeneous of degree 0 (d > 0)
    or α(x) = |x| is even (d = ±1); then it is averaged over the field's neurons. The field of invariants enters as is.

    Args:
        layout: the fields.
        inputs: features of each field.
        outputs: features of each field after the affine map.
    """

    def __init__(self, layout: Layout, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        invariants: dict[DiagonalKind, Callable[[Tensor], Tensor]] = {
            DiagonalKind.POSITIVE: degree_zero,
            DiagonalKind.SIGN: torch.abs,
        }
        self.invariant = invariants[layout.kind]
        self.pooled_axes = [tuple(range(1, 1 + len(field.groups))) for field in layout.fields]
        self.affine = nn.ModuleList(nn.Linear(features, outputs) for features in inputs)
        self.out_features = outputs * len(layout.fields)

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Map fields [batch, neurons..., inputs] to [batch, out_features]."""
        pooled = []
        for values, axes, affine in zip(fields, self.pooled_axes, self.affine, strict=True):
            entries = torch.relu(affine(self.invariant(values) if axes else values))
            pooled.append(entries.mean(axes) if axes else entries)
        return torch.cat(pooled, dim=-1)
