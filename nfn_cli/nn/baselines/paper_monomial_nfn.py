"""Monomial-NFN with the layers, sizes and readout of its authors' code for predicting generalisation.

The head of `nfn_cli.nn.monomial_nfn` differs from it in all that arXiv 2409.11697 leaves open. Here, as in the authors'
settings `hnps_inv` and `hnps_inv_tanh`: three equivariant layers whose channels, 16, 16 and 5, each have the shape of
weight space, kernels, inputs and outputs included; ReLU behind each under scalings, tanh under signs; the invariant map
x ↦ γ ⊙ x/‖x‖ + β of the channels and kernel of every entry (of |x| under signs); an average over hidden neurons alone;
an MLP of two hidden layers of 200 units. Weights come in as they are. Their fit is Adam with a constant learning rate
of 1e-3, 50 passes in batches of 8, and the cross entropy of the accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture
from nfn_cli.nn.equivariant import EquivariantActivation, MonomialLinear
from nfn_cli.nn.layout import Layout
from nfn_cli.nn.readout import readout
from nfn_cli.nn.unit_fields import degree_zero
from nfn_cli.symmetry import DiagonalKind


class PaperMonomialNFN(nn.Module):
    """Maps fields from `nfn_cli.nn.read_fields` to logits.

    Reading entries of unit norm changes nothing: layers without constants and ReLU keep their direction.

    Args:
        architecture: of the networks; their hidden widths are free.
        channels: of each equivariant layer.
        hidden: units of each of the readout's two hidden layers.

    Raises:
        HeadError: an activation without scalings or signs.
    """

    def __init__(self, architecture: Architecture, channels: Sequence[int] = (16, 16, 5), hidden: int = 200) -> None:
        super().__init__()
        self.layout = Layout.of(architecture)
        self.signs = self.layout.kind is DiagonalKind.SIGN
        fields = self.layout.fields
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels), channels, strict=False):
            sizes = [[count * field.features for field in fields] for count in (before, after)]
            linear = MonomialLinear(self.layout, *sizes)
            for own in linear.maps:
                nn.init.xavier_normal_(own.get_parameter("weight"))
            layers += [linear, EquivariantActivation(self.layout.kind)]
        self.equivariant = nn.Sequential(*layers)
        # Of every tensor: entries of one neuron or pair of neurons, as [ways, entries that are normalised together].
        self.shapes = [[_shape(architecture, position) for position in field.tensors] for field in fields]
        self.channels = channels[-1]
        normalised = [
            self.channels * together
            for field, shapes in zip(fields, self.shapes, strict=True)
            for _, together in shapes
            if field.groups
        ]
        self.gains = nn.ParameterList(torch.randn(count) for count in normalised)
        self.shifts = nn.ParameterList(torch.randn(count) for count in normalised)
        self.readout = readout(self.channels * sum(field.features for field in fields), hidden)

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Nothing to set: weights come in as they are."""

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Logits [batch] of fields [batch, neurons..., features]."""
        pooled, affine = [], iter(zip(self.gains, self.shifts, strict=True))
        found = self.equivariant(fields)
        for field, shapes, values in zip(self.layout.fields, self.shapes, found, strict=True):
            parts = values.split([self.channels * ways * together for ways, together in shapes], dim=-1)
            for (ways, together), part in zip(shapes, parts, strict=True):
                if not field.groups:
                    pooled.append(part)
                    continue
                gain, shift = next(affine)
                entries = part.unflatten(-1, (ways, self.channels * together))
                entries = degree_zero(entries.abs() if self.signs else entries) * gain + shift
                pooled.append(entries.mean(tuple(range(1, 1 + len(field.groups)))).flatten(1))
        return self.readout(torch.cat(pooled, dim=-1))[:, 0]  # type: ignore[no-any-return]


def _shape(architecture: Architecture, position: int) -> tuple[int, int]:
    """How many inputs or outputs that no group owns an entry of a tensor has, and how many numbers for each."""
    spec = architecture.tensors[position]
    pairs = list(zip(spec.shape, spec.roles, strict=True))
    ways = [size for size, role in pairs[:2] if role.group is None]
    kernel = [size for size, _ in pairs[2:]] + [role.repeat for _, role in pairs]
    return math.prod(ways), math.prod(kernel)
