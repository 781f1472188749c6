"""The invariant layer: what of an entry no group element can change, averaged over neurons.

Source: arXiv 2409.11697, equations 20 to 22.

>>> from nfn_cli.architectures import Layer, chain
>>> layout = Layout.of(chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="tanh"))
>>> layer = MonomialInvariant(layout, [field.features for field in layout.fields], 4)
>>> fields = [torch.randn(5, *(8,) * len(field.groups), field.features) for field in layout.fields]
>>> flipped = [-values if field.groups else values for field, values in zip(layout.fields, fields)]
>>> tuple(layer(fields).shape), torch.equal(layer(fields), layer(flipped))
((5, 8), True)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.layout import Layout
from nfn_cli.symmetry import DiagonalKind

_TINY = 1e-8  # a variance of zero has no gradient


class MonomialInvariant(nn.Module):
    """Turns fields into one vector a network that every group element leaves as it is.

    Each entry x ∈ ℝ^features becomes ReLU(A α(x) + c), where α is even under signs, α(x) = |x|, and of degree 0 under
    scalings: there entries are of degree 0 as they come in (`read_fields`), so α(x) = x. Then entries are averaged over
    the field's neurons. The field of invariants enters as is.

    Args:
        layout: the fields.
        inputs: features of each field.
        outputs: features of each field after the affine map.
        spread: whether the standard deviations over the field's neurons follow the averages; the paper's layer has
            averages alone.
    """

    def __init__(self, layout: Layout, inputs: Sequence[int], outputs: int, *, spread: bool = False) -> None:
        super().__init__()
        self.spread = spread
        self.even = layout.kind is DiagonalKind.SIGN
        self.pooled_axes = [tuple(range(1, 1 + len(field.groups))) for field in layout.fields]
        self.affine = nn.ModuleList(nn.Linear(features, outputs) for features in inputs)
        self.out_features = outputs * sum(2 if spread and axes else 1 for axes in self.pooled_axes)

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Map fields [batch, neurons..., inputs] to [batch, out_features]."""
        pooled = []
        for values, axes, affine in zip(fields, self.pooled_axes, self.affine, strict=True):
            entries = torch.relu_(affine(values.abs() if axes and self.even else values))
            mean = entries.mean(axes) if axes else entries
            pooled.append(mean)
            if axes and self.spread:
                centred = entries - mean.view(len(mean), *[1] * len(axes), -1)
                pooled.append((centred.square().mean(axes) + _TINY).sqrt())
        return torch.cat(pooled, dim=-1)
