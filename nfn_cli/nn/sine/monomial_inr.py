"""Monomial-NFN for sine networks (arXiv 2409.11697, the sign group), invariant to phase shifts too.

Equivariant linear layers with equivariant nonlinearities, what no sign can change of every entry averaged over neurons,
and an MLP: logits of classes. Usually the layers are the paper's: linear ones and tanh. With `messages` they multiply
fields as well, and with `sines` their odd nonlinearity is the sine; with both they can compute a network's values, and
start there (`nfn_cli.nn.sine.waves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn.in_parts import in_parts
from nfn_cli.nn.inr.other_coordinates import Changes, in_other_coordinates
from nfn_cli.nn.inr.sine_chain import read_tensors, require_sine_picture
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.readout import readout
from nfn_cli.nn.sine.fields import FieldSizes, SineFields, field_sizes, pack, require_sine_chain
from nfn_cli.nn.sine.layers import SineActivation, SineLinear, SineMessages
from nfn_cli.nn.sine.waves import WaveBody
from nfn_cli.nn.sizes import require_flag, require_sizes

_TOGETHER = 64
# Of a field, with sines, where fields have many features.
_MOST_AVERAGES = 32
# As Coordinate-Probe's grids.
_CHANGES = Changes(turn=0.2, stretch=0.15, move=0.12)


@dataclass(frozen=True)
class MonomialInrSizes:
    """Sizes that no input fixes.

    Attributes:
        channels: of every field in the equivariant layers.
        equivariant_layers: of them; with sines at least as many as hidden layers, to reach the output.
        messages: whether products carry what a layer knows to its neighbours; the paper's layers are linear.
        hidden: units of the MLP.
        sines: whether the nonlinearity is the sine, see `nfn_cli.nn.sine.waves`; with messages every channel starts at
            a place.
        heads: with sines, groups of channels that send their messages along pairs of their own.
        augment: whether a fit shows each network turned, stretched and moved at random, by an exact change of its first
            layer; of pictures.
    """

    channels: int = 16
    equivariant_layers: int = 2
    messages: bool = False
    hidden: int = 256
    dropout: float = 0.1
    sines: bool = False
    heads: int = 1
    augment: bool = False

    def __post_init__(self) -> None:
        require_sizes(self, channels=1024, equivariant_layers=64, hidden=4096, heads=1024)
        require_flag(self, "messages")
        require_flag(self, "sines")
        require_flag(self, "augment")
        if self.channels % self.heads:
            raise ValueError(f"channels are {self.channels}, no multiple of heads, which are {self.heads}")


class SineBody(nn.Module):
    """Equivariant layers from fields as packed to fields of `channels` features.

    Args:
        inputs: features of the fields that come in.
        layers: linear layers, each followed by a nonlinearity.
        messages: whether messages go between them.
    """

    def __init__(self, inputs: FieldSizes, channels: int, layers: int, *, messages: bool) -> None:
        super().__init__()
        hidden = len(inputs.vectors)
        modules: list[nn.Module] = []
        sizes = inputs
        for _ in range(layers):
            after = FieldSizes.uniform(hidden, channels)
            modules += [SineLinear(sizes, after), SineActivation()]
            if messages:
                modules.append(SineMessages(hidden, channels))
            sizes = after
        self.sizes = sizes
        self.layers = nn.Sequential(*modules)

    def forward(self, fields: SineFields) -> SineFields:
        """Map fields to fields."""
        return self.layers(fields)  # type: ignore[no-any-return]


class MonomialInr(nn.Module):
    """Maps a batch of sine networks to logits.

    Args:
        architecture: of a network that it reads; hidden widths are free.
        sizes: everything else.
        classes: number of logits.

    Raises:
        HeadError: another architecture than a chain of linear layers with sines.
    """

    def __init__(self, architecture: Architecture, sizes: MonomialInrSizes, classes: int) -> None:
        super().__init__()
        require_sine_chain(architecture)
        self.omega_0, self.hidden_layers = architecture.omega_0, len(architecture.hidden_widths)
        self.augment = sizes.augment
        if sizes.augment:
            require_sine_picture(architecture)
        inputs = field_sizes(architecture)
        # With sines a network's own units take the place of a population's constants.
        self.standardise = None if sizes.sines else inputs.standardise()
        self.body = _waves(architecture, sizes) if sizes.sines else _plain(inputs, sizes)
        made = self.body.sizes
        # What messages make of sines are invariants already, and averages of entries would tell trainers apart as well.
        self.averages = not (sizes.sines and sizes.messages)
        averaged = [*made.vectors, *made.odd_pairs, *made.even_pairs, *made.evens] if self.averages else []
        features = [min(2 * own, _MOST_AVERAGES) if sizes.sines else 2 * own for own in averaged]
        self.invariant = nn.ModuleList(map(nn.Linear, averaged, features))
        self.summary_features = sum(features) + made.invariant
        # Averages over many entries differ little between networks: each by its own spread, not all by one.
        self.spread = nn.BatchNorm1d(self.summary_features)
        self.readout = readout(self.summary_features, sizes.hidden, classes, sizes.dropout)

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """The tensors of a batch of networks, float32 [batch, *shape], with phases brought to one turn."""
        return read_tensors(point, torch.float32, device)

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the standardising constants from a training population."""
        if self.standardise is not None:
            self.standardise.fit(pack([values[:4096] for values in inputs], self.omega_0).all())
        with torch.no_grad():
            summary = in_parts(self._invariants, [values[:1024] for values in inputs], _TOGETHER)
            # The fit goes on from these; they are not yet those of the weights that it ends with.
            self.spread.get_buffer("running_mean").copy_(summary.mean(0))
            self.spread.get_buffer("running_var").copy_(summary.var(0, correction=0))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [batch, classes] of what `encode` gives."""
        return self.logits_and_summary(inputs)[0]

    def logits_and_summary(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch, classes], and what the detector looks at: the invariants [batch, summary_features]."""
        if self.training and self.augment:
            inputs = in_other_coordinates(inputs, _CHANGES)
        invariants = in_parts(self._invariants, inputs, _TOGETHER)
        return self.readout(self.spread(invariants)), invariants

    def _invariants(self, inputs: Sequence[Tensor]) -> Tensor:
        packed = pack(inputs, self.omega_0)
        fields = self.body(packed if self.standardise is None else packed.mapped(self.standardise))
        if not self.averages:
            return fields.invariant
        odd = [*fields.vectors, *fields.odd_pairs, *fields.even_pairs]
        entries = [*(values.abs() for values in odd), *fields.evens]
        pooled = [
            torch.relu(affine(values)).flatten(1, -2).mean(1)
            for affine, values in zip(self.invariant, entries, strict=True)
        ]
        return torch.cat([*pooled, fields.invariant], dim=1)


def _plain(inputs: FieldSizes, sizes: MonomialInrSizes) -> SineBody | WaveBody:
    return SineBody(inputs, sizes.channels, sizes.equivariant_layers, messages=sizes.messages)


def _waves(architecture: Architecture, sizes: MonomialInrSizes) -> SineBody | WaveBody:
    return WaveBody(
        field_sizes(architecture),
        architecture.inputs,
        sizes.channels,
        max(sizes.equivariant_layers, len(architecture.hidden_widths)),
        heads=sizes.heads,
        messages=sizes.messages,
        omega_0=architecture.omega_0,
    )


KIND = Kind(
    MonomialInrSizes, lambda architecture, sizes, details: MonomialInr(architecture, sizes, len(details.classes))
)
