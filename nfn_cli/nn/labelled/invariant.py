"""The invariant layer for any architecture on labels: what no element can change of entries, averaged over neurons.

>>> layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)))
>>> layer = LabelledInvariant(layout, layout.features, 4)
>>> tuple(layer([torch.ones(5, 8, 6), torch.ones(5, 3)]).shape), layer.out_features
((5, 8), 8)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.labelled.activation import over_norm
from nfn_cli.nn.labelled.contraction import mean_over
from nfn_cli.nn.labelled.field import LabelledField
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled.patterns import diagonals


class LabelledInvariant(nn.Module):
    """Turns fields into one vector a network that every element leaves as it is (arXiv 2409.11697, equations 20 to 22).

    Each entry x ∈ ℝ^features becomes ReLU(A α(x) + c): α(x) = x / ‖x‖ where scales multiply it, |x| where signs do, of
    both where both do. Then entries are averaged over all neurons, and over those on each diagonal, where two
    coordinates are of one block.

    Args:
        layout: the fields.
        inputs: features of each field.
        outputs: features of each field after the affine map.
        unit: whether entries are of degree 0 as they come in, so that α divides none.
    """

    def __init__(self, layout: LabelledLayout, inputs: Sequence[int], outputs: int, *, unit: bool = False) -> None:
        super().__init__()
        self._fields, self._unit = layout.fields, unit
        self._diagonals = [diagonals(field) for field in layout.fields]
        self.affine = nn.ModuleList(nn.Linear(features, outputs) for features in inputs)
        self.out_features = outputs * sum(map(len, self._diagonals))

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Map fields [batch, *sizes, inputs] to [batch, out_features]."""
        found = []
        for field, patterns, affine, values in zip(self._fields, self._diagonals, self.affine, fields, strict=True):
            entries = torch.relu(affine(unmoved(field, values, unit=self._unit)))
            found += [mean_over(entries, pattern) for pattern in patterns]
        return torch.cat(found, -1)


def unmoved(field: LabelledField, values: Tensor, *, unit: bool = False) -> Tensor:
    """What scales and signs leave of entries [..., features]; of signs alone, where they are of degree 0 already."""
    values = over_norm(values) if field.is_scaled and not unit else values
    return values.abs() if field.is_signed else values
