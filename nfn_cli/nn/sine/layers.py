"""Equivariant layers on the fields of sine networks.

`SineLinear` is every linear map that commutes with permutations and signs (proved by the null space of the constraints
in `tests/nn/sine/test_null_space.py`): one matrix a field as in arXiv 2409.11697, and, since the column of an even pair
and the neuron of an even vector carry no sign, averages over them. `SineMessages` is of second order: products of pairs
with vectors, summed over neurons, carry what a layer knows to its neighbours (arXiv 2406.10685, arXiv 2410.04213).

>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.nn.sine.fields import field_sizes, pack
>>> siren = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 1)], activation="sin")
>>> fields = pack([torch.randn(5, *spec.shape) for spec in siren.tensors], siren.omega_0)
>>> layer = SineLinear(field_sizes(siren), FieldSizes.uniform(1, 4))
>>> [tuple(values.shape) for values in SineMessages(1, 4)(SineActivation()(layer(fields))).all()]
[(5, 8, 4), (5, 8, 4), (5, 4)]
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.nn.sine.fields import FieldSizes, SineFields


class SineLinear(nn.Module):
    """Every linear equivariant map between fields, and a constant for the invariant and the even ones.

    Args:
        inputs, outputs: features of the fields that come in and go out.
    """

    def __init__(self, inputs: FieldSizes, outputs: FieldSizes) -> None:
        super().__init__()
        self._hidden = len(inputs.vectors)

        def maps(before: tuple[int, ...], after: tuple[int, ...], bias: bool = False) -> nn.ModuleList:
            return nn.ModuleList(_linear(one, other, bias) for one, other in zip(before, after, strict=True))

        invariants = (inputs.invariant,) * self._hidden
        self.vectors = maps(inputs.vectors, outputs.vectors)
        self.pair_to_vector = maps(inputs.even_pairs, outputs.vectors[1:])
        self.evens = maps(inputs.evens, outputs.evens)
        # An average is invariant, so it reaches the evens of every layer.
        averages = (sum(inputs.evens),) * self._hidden
        self.even_mean = maps(averages, outputs.evens)
        self.invariant_to_even = maps(invariants, outputs.evens, bias=True)
        self.odd_pairs = maps(inputs.odd_pairs, outputs.odd_pairs)
        self.even_pairs = maps(inputs.even_pairs, outputs.even_pairs)
        self.pair_mean = maps(inputs.even_pairs, outputs.even_pairs)
        self.vector_to_pair = maps(inputs.vectors[1:], outputs.even_pairs)
        self.invariant = _linear(inputs.invariant, outputs.invariant, True)
        self.even_to_invariant = _linear(sum(inputs.evens), outputs.invariant, False)

    def forward(self, fields: SineFields) -> SineFields:
        """Map fields to fields."""
        means = [pair.mean(2) for pair in fields.even_pairs]
        vectors = [own(values) for own, values in zip(self.vectors, fields.vectors, strict=True)]
        for layer, (own, mean) in enumerate(zip(self.pair_to_vector, means, strict=True), start=1):
            vectors[layer] = vectors[layer] + own(mean)
        averages = torch.cat([values.mean(1) for values in fields.evens], dim=1)
        evens = [
            own(values) + (other(averages) + constant(fields.invariant))[:, None]
            for own, other, constant, values in zip(
                self.evens, self.even_mean, self.invariant_to_even, fields.evens, strict=True
            )
        ]
        even_pairs = [
            own(values) + (other(mean) + third(vector))[:, :, None]
            for own, other, third, values, mean, vector in zip(
                self.even_pairs,
                self.pair_mean,
                self.vector_to_pair,
                fields.even_pairs,
                means,
                fields.vectors[1:],
                strict=True,
            )
        ]
        invariant = self.invariant(fields.invariant) + self.even_to_invariant(averages)
        odd_pairs = [own(values) for own, values in zip(self.odd_pairs, fields.odd_pairs, strict=True)]
        return SineFields(tuple(vectors), tuple(evens), tuple(odd_pairs), tuple(even_pairs), invariant)


class SineActivation(nn.Module):
    """tanh on what changes sign, GELU on what does not."""

    def forward(self, fields: SineFields) -> SineFields:
        """Apply it to every entry."""
        return SineFields(
            tuple(values.tanh() for values in fields.vectors),
            tuple(F.gelu(values) for values in fields.evens),
            tuple(values.tanh() for values in fields.odd_pairs),
            tuple(values.tanh() for values in fields.even_pairs),
            F.gelu(fields.invariant),
        )


class SineMessages(nn.Module):
    """What pairs carry between neighbouring layers, added to what is there; every field has `channels` features.

    A pair times the vector or even of one side, summed over that side's neurons and divided by the root of their
    number, is a vector or even of the other side; a vector times an even, gated through a sigmoid, is a vector.
    """

    def __init__(self, hidden_layers: int, channels: int) -> None:
        super().__init__()
        self._forward = nn.ModuleList(_linear(2 * channels, channels, False) for _ in range(hidden_layers - 1))
        self._back = nn.ModuleList(_linear(channels, channels, False) for _ in range(hidden_layers - 1))
        self._even = nn.ModuleList(_linear(channels, channels, False) for _ in range(hidden_layers - 1))
        self._gates = nn.ModuleList(_linear(3 * channels, channels, True) for _ in range(hidden_layers))
        self._mixed = nn.ModuleList(_linear(2 * channels, channels, False) for _ in range(hidden_layers))

    def forward(self, fields: SineFields) -> SineFields:
        """Map fields to fields."""
        vectors, evens = list(fields.vectors), list(fields.evens)
        for layer, (odd, even) in enumerate(zip(fields.odd_pairs, fields.even_pairs, strict=True), start=1):
            after, before = odd.shape[1] ** 0.5, odd.shape[2] ** 0.5
            there = torch.cat(
                [_summed(odd, vectors[layer - 1], 2) / before, _summed(even, evens[layer - 1], 2) / before], dim=-1
            )
            back = _summed(odd, fields.vectors[layer], 1) / after
            level = _summed(even, fields.vectors[layer], 1) / after
            vectors[layer] = vectors[layer] + self._forward[layer - 1](there)
            vectors[layer - 1] = vectors[layer - 1] + self._back[layer - 1](back)
            evens[layer - 1] = evens[layer - 1] + self._even[layer - 1](level)
        for layer, (gate, mixed) in enumerate(zip(self._gates, self._mixed, strict=True)):
            own, level = vectors[layer], evens[layer]
            context = fields.invariant[:, None].expand_as(level)
            # Signs change neither the squares of vectors nor the evens.
            opened = gate(torch.cat([own.square(), level, context], dim=-1)).sigmoid()
            vectors[layer] = own * (2 * opened)
            evens[layer] = level + mixed(torch.cat([own.square(), own.abs()], dim=-1))
        return SineFields(tuple(vectors), tuple(evens), fields.odd_pairs, fields.even_pairs, fields.invariant)


def _summed(pairs: Tensor, values: Tensor, axis: int) -> Tensor:
    """Pairs [batch, j, k, channels] times values of the neurons along `axis` (1 or 2), summed over these."""
    return (pairs * (values[:, :, None] if axis == 1 else values[:, None])).sum(axis)


class _Nothing(nn.Module):
    """Zeros, from a field that does not exist, or for one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, values: Tensor) -> Tensor:
        return values.new_zeros(*values.shape[:-1], self.features)


def _linear(inputs: int, outputs: int, bias: bool) -> nn.Module:
    if not outputs or not (inputs or bias):
        return _Nothing(outputs)
    return nn.Linear(inputs, outputs, bias) if inputs else _Nothing(outputs)
