"""Monomial-NFN: an invariant network that reads a network's weights (arXiv 2409.11697, section 5).

Equivariant linear layers with equivariant nonlinearities, one invariant layer, then an MLP. Its output is a logit; the
sigmoid of it is an accuracy.

The paper's invariant map divides every entry by its own norm and averages over neurons. A head with `unit_form` reads
what this leaves out: the sizes of entries in the unit form, and how they spread over neurons.
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
from nfn_cli.nn.sized_fields import read_sized_fields, statistics_count
from nfn_cli.nn.sizes import require_flag, require_sizes
from nfn_cli.nn.standardise import Standardise
from nfn_cli.nn.unit_fields import read_fields


@dataclass(frozen=True)
class MonomialNFNSizes:
    """Sizes that no input fixes.

    Attributes:
        channels: of every field in the equivariant layers.
        equivariant_layers: of them.
        invariants: of each field; with `unit_form` as many averages, and as many standard deviations.
        hidden: units of the MLP.
        unit_form: whether entries carry their size in the unit form, invariants are standardised one by one, and the
            statistics of `read_sized_fields` join them; else entries have unit norm.
    """

    channels: int = 32
    equivariant_layers: int = 2
    invariants: int = 32
    hidden: int = 128
    dropout: float = 0.1
    unit_form: bool = False

    def __post_init__(self) -> None:
        require_sizes(self, channels=4096, equivariant_layers=64, invariants=4096, hidden=4096)
        require_flag(self, "unit_form")


# Numbers of one intermediate field that are computed together on a CPU: two megabytes.
_CACHED = 1 << 19
# Of standard deviations over the training population: what an odd network shows beyond is cut off.
_LARGEST_INVARIANT = 4.0


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
        self.unit_form = sizes.unit_form
        features = [field.features for field in layout.fields]
        self.standardise = Standardise(features, [not field.groups for field in layout.fields])
        layers: list[nn.Module] = []
        for _ in range(sizes.equivariant_layers):
            outputs = [sizes.channels] * len(features)
            layers += [MonomialLinear(layout, features, outputs), EquivariantActivation(layout.kind, inplace=True)]
            features = outputs
        self.equivariant = nn.Sequential(*layers)
        self.invariant = MonomialInvariant(layout, features, sizes.invariants, spread=sizes.unit_form)
        count = self.invariant.out_features + (statistics_count(layout) if sizes.unit_form else 0)
        self.summary_features = count
        # Averages over many entries differ little between networks: each by its own spread, not all by one.
        norm: nn.Module = StandardisedInvariants(count) if sizes.unit_form else nn.LayerNorm(count)
        self.readout = nn.Sequential(norm, *readout(count, sizes.hidden, dropout=sizes.dropout))

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """The fields of a batch of networks, see `read_fields`, or with their statistics, see `read_sized_fields`."""
        return (read_sized_fields if self.unit_form else read_fields)(self.layout, point, device=device)

    @torch.no_grad()
    def fit_normalisation(self, fields: Sequence[Tensor]) -> None:
        """Set the standardising constants from a training population [networks, neurons..., features]."""
        self.standardise.fit(self._fields(fields))
        norm = self.readout[0]
        if isinstance(norm, StandardisedInvariants):
            # The fit goes on from these; they are not yet those of the weights that it ends with.
            norm.start(self.invariants(fields))

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Logits [batch] of fields [batch, neurons..., features] from `read_fields`."""
        return self.logits(self.invariants(fields))

    def logits_and_summary(self, fields: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch], and what the detector looks at: the invariants [batch, summary_features]."""
        invariants = self.invariants(fields)
        return self.logits(invariants), invariants

    def invariants(self, fields: Sequence[Tensor]) -> Tensor:
        """What the readout knows of a network [batch, summary_features]: the invariant layer's output, and with
        `unit_form` the statistics."""
        if fields[0].device.type != "cpu":
            return self._invariants(fields)
        numbers = self.channels * max(values.shape[1:-1].numel() for values in fields)
        return in_parts(self._invariants, fields, max(1, _CACHED // numbers))

    def _invariants(self, fields: Sequence[Tensor]) -> Tensor:
        found: Tensor = self.invariant(self.equivariant(self.standardise(self._fields(fields))))
        return torch.cat([found, fields[-1]], dim=1) if self.unit_form else found

    def _fields(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The fields alone, of what `encode` gives."""
        return inputs[: len(self.layout.fields)]

    def logits(self, invariants: Tensor) -> Tensor:
        """The readout alone: logits [batch] of invariants [batch, out_features]."""
        return self.readout(invariants)[:, 0]  # type: ignore[no-any-return]


class StandardisedInvariants(nn.BatchNorm1d):
    """Invariants [batch, features] by their mean and spread over the population, cut off far from it."""

    def start(self, invariants: Tensor) -> None:
        """Take mean and spread of a training population."""
        self.get_buffer("running_mean").copy_(invariants.mean(0))
        self.get_buffer("running_var").copy_(invariants.var(0, correction=0))

    def forward(self, invariants: Tensor) -> Tensor:
        """Standardise."""
        return super().forward(invariants).clamp(-_LARGEST_INVARIANT, _LARGEST_INVARIANT)


KIND = Kind(MonomialNFNSizes, lambda architecture, sizes, details: MonomialNFN(Layout.of(architecture), sizes))
