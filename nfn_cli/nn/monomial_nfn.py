"""Monomial-NFN: an invariant network that reads a network's weights (arXiv 2409.11697, section 5).

Equivariant linear layers with equivariant nonlinearities, one invariant layer, then an MLP. Its output is a logit; the
sigmoid of it is an accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn.equivariant import EquivariantActivation, MonomialLinear
from nfn_cli.nn.in_parts import in_parts
from nfn_cli.nn.invariant import MonomialInvariant
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.layout import Layout
from nfn_cli.nn.readout import readout
from nfn_cli.nn.sizes import require_sizes
from nfn_cli.nn.standardise import Standardise
from nfn_cli.nn.unit_fields import read_fields


@dataclass(frozen=True)
class MonomialNFNSizes:
    """Sizes that no input fixes: channels and number of equivariant layers, invariants a field, hidden MLP units."""

    channels: int = 32
    equivariant_layers: int = 2
    invariants: int = 32
    hidden: int = 128
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_sizes(self, channels=4096, equivariant_layers=64, invariants=4096, hidden=4096)


# Numbers of one intermediate field that are computed together on a CPU: two megabytes.
_CACHED = 1 << 19


class MonomialNFN(nn.Module):
    """Maps the fields of a batch of networks to one number each.

    Args:
        layout: the fields (their features are fixed, their hidden widths free).
        sizes: everything else.
    """

    def __init__(self, layout: Layout, sizes: MonomialNFNSizes) -> None:
        super().__init__()
        self.layout = layout
        self.channels = sizes.channels
        features = [field.features for field in layout.fields]
        self.standardise = Standardise(features, [not field.groups for field in layout.fields])
        layers: list[nn.Module] = []
        for _ in range(sizes.equivariant_layers):
            outputs = [sizes.channels] * len(features)
            layers += [MonomialLinear(layout, features, outputs), EquivariantActivation(layout.kind, inplace=True)]
            features = outputs
        self.equivariant = nn.Sequential(*layers)
        self.invariant = MonomialInvariant(layout, features, sizes.invariants)
        count = self.invariant.out_features
        self.readout = nn.Sequential(nn.LayerNorm(count), *readout(count, sizes.hidden, dropout=sizes.dropout))

    @property
    def summary_features(self) -> int:
        """How many invariants the detector looks at."""
        return self.invariant.out_features

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """The fields of a batch of networks, see `read_fields`."""
        return read_fields(self.layout, point, device=device)

    def fit_normalisation(self, fields: Sequence[Tensor]) -> None:
        """Set the standardising constants from a training population [networks, neurons..., features]."""
        self.standardise.fit(fields)

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Logits [batch] of fields [batch, neurons..., features] from `read_fields`."""
        return self.logits(self.invariants(fields))

    def logits_and_summary(self, fields: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch], and what the detector looks at: the invariants [batch, summary_features]."""
        invariants = self.invariants(fields)
        return self.logits(invariants), invariants

    def invariants(self, fields: Sequence[Tensor]) -> Tensor:
        """The invariant layer's output [batch, out_features]: all that the readout knows of a network."""
        if fields[0].device.type != "cpu":
            return self._invariants(fields)
        numbers = self.channels * max(values.shape[1:-1].numel() for values in fields)
        return in_parts(self._invariants, fields, max(1, _CACHED // numbers))

    def _invariants(self, fields: Sequence[Tensor]) -> Tensor:
        return self.invariant(self.equivariant(self.standardise(fields)))  # type: ignore[no-any-return]

    def logits(self, invariants: Tensor) -> Tensor:
        """The readout alone: logits [batch] of invariants [batch, out_features]."""
        return self.readout(invariants)[:, 0]  # type: ignore[no-any-return]


KIND = Kind(MonomialNFNSizes, lambda architecture, sizes, details: MonomialNFN(Layout.of(architecture), sizes))
