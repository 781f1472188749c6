"""A sine network's weights with its phases taken out: fields on which signs and permutations act, and nothing else.

A hidden neuron of phase φ = ω₀ b has two symmetries of its own: its sign (incoming weights, phase and outgoing weights
change sign), and a half-turn (φ → φ + π, outgoing weights change sign). The second acts on a phase by addition, which
no linear layer knows, and bringing phases to one half-turn first would make a layer jump where they reach its ends. But

    sin(u + φ) = cos φ sin u + sin φ cos u

so, with V the outgoing weights, C = V cos φ and S = V sin φ are unchanged by every half-turn; C changes sign with the
neuron, S does not. With W_1, all Cᵢ = Wᵢ cos φᵢ₋₁ and Sᵢ = Wᵢ sin φᵢ₋₁, and the last bias the function is known, and
everything is smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.errors import HeadError
from nfn_cli.nn.standardise import Standardise


@dataclass(frozen=True)
class FieldSizes:
    """Features of the fields of a network of L layers, by hidden layer 1 … L − 1 (pairs: by hidden layer 2 … L − 1)."""

    vectors: tuple[int, ...]
    evens: tuple[int, ...]
    odd_pairs: tuple[int, ...]
    even_pairs: tuple[int, ...]
    invariant: int

    @classmethod
    def uniform(cls, hidden_layers: int, features: int) -> FieldSizes:
        """The same number of features everywhere."""
        own, pairs = (features,) * hidden_layers, (features,) * (hidden_layers - 1)
        return cls(own, own, pairs, pairs, features)

    def standardise(self) -> Standardise:
        """A module for such fields, see `SineFields.mapped`; those that no sign changes are centred."""
        alike = [(self.vectors, False), (self.evens, True), (self.odd_pairs, False), (self.even_pairs, False)]
        fields = [(features, signless) for own, signless in alike for features in own] + [(self.invariant, True)]
        return Standardise(*zip(*fields, strict=True))


@dataclass(frozen=True)
class SineFields:
    """Fields of a batch of networks; a field that does not exist has no features.

    Attributes:
        vectors: of each hidden layer, [batch, neurons, features]; change sign with the neuron.
        evens: of each hidden layer, [batch, neurons, features]; are only permuted.
        odd_pairs: of each hidden layer after the first, [batch, neurons, neurons before, features]; change sign with
            both neurons.
        even_pairs: likewise; change sign with the neuron, not with the one before.
        invariant: [batch, features].
    """

    vectors: tuple[Tensor, ...]
    evens: tuple[Tensor, ...]
    odd_pairs: tuple[Tensor, ...]
    even_pairs: tuple[Tensor, ...]
    invariant: Tensor

    def all(self) -> list[Tensor]:
        """All fields, in one order."""
        return [*self.vectors, *self.evens, *self.odd_pairs, *self.even_pairs, self.invariant]

    def mapped(self, change: Callable[[list[Tensor]], list[Tensor]]) -> SineFields:
        """The fields that a function makes of them."""
        return SineFields.of(change(self.all()), len(self.vectors))

    @classmethod
    def of(cls, fields: Sequence[Tensor], hidden_layers: int) -> SineFields:
        """Inverse of `all`."""
        own, pairs = hidden_layers, hidden_layers - 1
        cuts = [0, own, 2 * own, 2 * own + pairs, 2 * own + 2 * pairs]
        parts = [tuple(fields[start:stop]) for start, stop in pairwise(cuts)]
        return cls(parts[0], parts[1], parts[2], parts[3], fields[-1])


def require_sine_chain(architecture: Architecture) -> None:
    """Check that an architecture is a chain of linear layers with sines between.

    Raises:
        HeadError: it is another, or has no hidden layer.
    """
    linear = all(layer.kind == "linear" and layer.spatial == 1 for layer in architecture.layers)
    if architecture.activation != "sin" or not linear or not architecture.hidden_widths:
        cause = "it is no chain of at least two linear layers with sines between"
        raise HeadError(architecture.describe(), cause, "read implicit neural representations of this kind (SIRENs)")


def field_sizes(architecture: Architecture) -> FieldSizes:
    """Features of the fields that `pack` gives."""
    hidden, inputs, outputs = len(architecture.hidden_widths), architecture.inputs, architecture.outputs
    last = [outputs if layer == hidden - 1 else 0 for layer in range(hidden)]
    vectors = [size + (inputs if layer == 0 else 0) for layer, size in enumerate(last)]
    pairs = (1,) * (hidden - 1)
    return FieldSizes(tuple(vectors), tuple(last), pairs, pairs, outputs)


def pack(tensors: Sequence[Tensor], omega_0: float) -> SineFields:
    """The fields of a batch of networks.

    Args:
        tensors: first weight [batch, out, in], first bias [batch, out], ...; phases should lie within a turn, in which
            float32 is finest.
    """
    weights, biases = weights_and_biases(tensors)
    angles = [omega_0 * bias for bias in biases[:-1]]
    last = weights[-1].mT  # [batch, neurons, outputs]
    vectors = [weights[0], *(weight[..., :0] for weight in weights[1:-1])]
    vectors[-1] = torch.cat([vectors[-1], last * angles[-1].cos()[..., None]], dim=-1)
    evens = [*(weight[..., :0] for weight in weights[:-2]), last * angles[-1].sin()[..., None]]
    inner = list(zip(weights[1:-1], angles, strict=False))
    return SineFields(
        vectors=tuple(vectors),
        evens=tuple(evens),
        odd_pairs=tuple((weight * angle.cos()[:, None])[..., None] for weight, angle in inner),
        even_pairs=tuple((weight * angle.sin()[:, None])[..., None] for weight, angle in inner),
        invariant=tensors[-1],
    )


def lifted(fields: SineFields, tensors: Sequence[Tensor], omega_0: float) -> list[Tensor]:
    """Changes of the weights from fields of the same charges, [batch, *shape] each.

    δW₁ and δbᵢ are vectors, δWᵢ = C′ᵢ cos φᵢ₋₁ + S′ᵢ sin φᵢ₋₁: they move with the weights under every permutation, sign
    and half-turn.

    Args:
        fields: vectors with inputs (first layer), outputs (last hidden layer) and 1 features, in this order; evens with
            outputs features in the last hidden layer; pairs with 1 feature; an invariant with outputs features.
    """
    inputs, outputs = tensors[0].shape[2], tensors[-1].shape[1]
    angles = [omega_0 * bias for bias in tensors[1:-1:2]]
    changes: list[Tensor] = []
    for layer, vector in enumerate(fields.vectors):
        if layer == 0:
            changes.append(vector[..., :inputs])
        else:
            before = angles[layer - 1][:, None]
            odd, even = fields.odd_pairs[layer - 1][..., 0], fields.even_pairs[layer - 1][..., 0]
            changes.append(odd * before.cos() + even * before.sin())
        changes.append(vector[..., -1])
    own = fields.vectors[-1][..., -1 - outputs : -1], fields.evens[-1][..., :outputs]
    changes.append((own[0] * angles[-1].cos()[..., None] + own[1] * angles[-1].sin()[..., None]).mT)
    changes.append(fields.invariant)
    return changes


def lifted_sizes(architecture: Architecture) -> FieldSizes:
    """Features of the fields that `lifted` takes."""
    own = field_sizes(architecture)
    return FieldSizes(tuple(size + 1 for size in own.vectors), own.evens, own.odd_pairs, own.even_pairs, own.invariant)
