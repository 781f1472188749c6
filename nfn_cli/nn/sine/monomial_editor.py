"""Monomial-Editor: an equivariant network that says how a sine network's weights shall change (arXiv 2409.11697, after
Zhou et al. 2023, arXiv 2302.14040): one forward pass from weights to what is added to them, without a look at the
picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn.inr.sine_chain import read_tensors, require_sine_picture
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.sine.fields import FieldSizes, field_sizes, lifted, lifted_sizes, pack, require_sine_chain
from nfn_cli.nn.sine.layers import SineLinear
from nfn_cli.nn.sine.monomial_inr import SineBody
from nfn_cli.nn.sizes import require_flag, require_sizes

# So small that the changes of a fresh editor leave a picture nearly as it is.
_FIRST = 0.001


@dataclass(frozen=True)
class MonomialEditorSizes:
    """Sizes that no input fixes: channels and number of equivariant layers, and whether messages go between them."""

    channels: int = 24
    equivariant_layers: int = 3
    messages: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_sizes(self, channels=1024, equivariant_layers=64)
        require_flag(self, "messages")


class MonomialEditor(nn.Module):
    """Maps the tensors of a batch of sine networks to changes of them, E(U): with E(g U) = g E(U) for permutations,
    signs and phase shifts g.

    Args:
        architecture: of a network that it reads; hidden widths are free.
        sizes: everything else.

    Raises:
        HeadError: another architecture than a chain of linear layers with sines.
    """

    def __init__(self, architecture: Architecture, sizes: MonomialEditorSizes) -> None:
        super().__init__()
        require_sine_chain(architecture)
        self.omega_0 = architecture.omega_0
        hidden = len(architecture.hidden_widths)
        inputs = field_sizes(architecture)
        self.standardise = inputs.standardise()
        self.body = SineBody(inputs, sizes.channels, sizes.equivariant_layers, messages=sizes.messages)
        self.out = SineLinear(FieldSizes.uniform(hidden, sizes.channels), lifted_sizes(architecture))
        self.sizes_of_changes = nn.ParameterList(nn.Parameter(torch.tensor(_FIRST)) for _ in architecture.tensors)

    def encode(self, point: NetworkWeights) -> list[Tensor]:
        """What `forward` takes of a batch of networks, in this module's dtype and on its device."""
        own = self.sizes_of_changes[0]
        return read_tensors(point, own.dtype, own.device)

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the standardising constants from a training population [networks, *shape]."""
        self.standardise.fit(pack([values[:4096] for values in inputs], self.omega_0).all())

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Changes [batch, *shape] of tensors [batch, *shape]: first weight, first bias, ..."""
        fields = self.out(self.body(pack(tensors, self.omega_0).mapped(self.standardise)))
        changes = lifted(fields, tensors, self.omega_0)
        return [size * change for size, change in zip(self.sizes_of_changes, changes, strict=True)]


def _member(architecture: Architecture, sizes: MonomialEditorSizes, details: Any) -> MonomialEditor:
    require_sine_picture(architecture)
    return MonomialEditor(architecture, sizes)


KIND = Kind(MonomialEditorSizes, _member)
