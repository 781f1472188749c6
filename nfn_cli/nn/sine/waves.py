"""Equivariant layers whose nonlinearities are sines and cosines.

A nonlinearity on what changes sign with a neuron may be any odd function (arXiv 2409.11697, section 4); here it is the
sine, and the cosine, which is even, goes to what only is permuted. A linear layer can give v = ω₀ W₁ x of the first
hidden layer, for a learned x. Messages multiply by the pairs, C = W₂ cos φ and S = W₂ sin φ with φ = ω₀ b₁ (see
`nfn_cli.nn.sine.fields`), and

    ω₀ Σₖ (Cⱼₖ sin vₖ + Sⱼₖ cos vₖ) = ω₀ (W₂ sin(ω₀ (W₁ x + b₁)))ⱼ

is a vector of the next hidden layer, on which sine and cosine act again; so do the last layer's C and S, which give an
invariant. So as many of these layers as a network has hidden ones can compute its values at learned places. They start
there: the places are spread evenly, and what else the layers can do starts at zero.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from nfn_cli.nn.sine.fields import FieldSizes, SineFields
from nfn_cli.nn.sine.layers import SineLinear

# Evens of each hidden layer, beside the cosines.
_LEVELS = 16


class WaveBody(nn.Module):
    """Layers from fields as packed to vectors and invariants of `channels` features, pairs of `heads`, and evens.

    Every layer reads the packed fields as well as what the layer before made of them. With messages the invariants are
    what matters: the last layer sends none to the hidden layers.

    Args:
        inputs: features of the fields as packed.
        coordinates: how many of the first hidden layer's vectors are its incoming weights; a place has as many.
        channels: places, and features of vectors, evens and invariants.
        layers: of them; with fewer than hidden layers they cannot reach the output.
        heads: groups of channels; each sends its messages along pairs of its own.
        messages: whether there are messages.
        omega_0: of the networks, by which their weights become radians.
    """

    def __init__(
        self,
        inputs: FieldSizes,
        coordinates: int,
        channels: int,
        layers: int,
        *,
        heads: int,
        messages: bool,
        omega_0: float,
    ) -> None:
        super().__init__()
        self._omega_0 = omega_0
        hidden = len(inputs.vectors)
        vectors, pairs = (channels,) * hidden, (heads,) * (hidden - 1)
        made = FieldSizes(vectors, (_LEVELS,) * hidden, pairs, pairs, channels)
        self.sizes = replace(made, evens=(channels + _LEVELS,) * hidden)
        self.linear, self.messages = nn.ModuleList(), nn.ModuleList()
        # Behind the last layer nothing but the invariants matters, to which only the last hidden layer sends.
        none = (0,) * (hidden - 1)
        ending = FieldSizes((*none, channels), (0,) * hidden, none, none, channels)
        for layer in range(layers):
            after = ending if messages and layer == layers - 1 else made
            linear = SineLinear(inputs if layer == 0 else _both(inputs, self.sizes), after)
            _start(linear, layer, coordinates, inputs)
            self.linear.append(linear)
            if messages:
                between = WaveMessages(hidden, inputs.invariant, channels, heads, last=layer == layers - 1)
                _start_out(between, outward=layer == hidden - 1)
                self.messages.append(between)

    def forward(self, fields: SineFields) -> SineFields:
        """Fields as packed, in the network's own units, to fields."""
        given = in_radians(fields, self._omega_0)
        state: SineFields | None = None
        for layer, linear in enumerate(self.linear):
            state = _waves(linear(given if state is None else _joined(given, state)))
            if self.messages:
                state = self.messages[layer](state, given)
        assert state is not None
        return state


class WaveMessages(nn.Module):
    """What the pairs carry between neighbouring hidden layers, and the last layer's weights to the invariants.

    Args:
        hidden_layers, outputs: of the networks.
        channels, heads: as in `WaveBody`.
        last: whether no layer follows, so that only what reaches the invariants matters.
    """

    def __init__(self, hidden_layers: int, outputs: int, channels: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self._heads, self._outputs, self._channels = heads, outputs, channels
        between = 0 if last else hidden_layers - 1
        # Of each channel; the direction of the network's own pass starts at 1, the other at 0.
        self.ahead = nn.Parameter(torch.ones(between, 2, channels))
        self.back = nn.Parameter(torch.zeros(between, 2, channels))
        self.out = nn.Parameter(torch.zeros(2, outputs, channels))

    def forward(self, fields: SineFields, given: SineFields) -> SineFields:
        """Fields with the messages added; `given` are the fields as packed."""
        vectors, evens = list(fields.vectors), list(fields.evens)
        for layer in range(len(self.ahead)):
            odd, even = (pairs[layer].permute(0, 3, 1, 2) for pairs in (fields.odd_pairs, fields.even_pairs))
            before, after = fields.vectors[layer], fields.vectors[layer + 1]
            ahead, back = self.ahead[layer], self.back[layer]
            cosines, levels = fields.evens[layer].split([self._channels, _LEVELS], dim=-1)
            vectors[layer + 1] = (
                vectors[layer + 1] + self._summed(odd, before) * ahead[0] + self._summed(even, cosines) * ahead[1]
            )
            vectors[layer] = vectors[layer] + self._summed(odd.mT, after) * back[0]
            evens[layer] = torch.cat([cosines + self._summed(even.mT, after) * back[1], levels], dim=-1)
        last = given.vectors[-1][..., -self._outputs :], given.evens[-1][..., -self._outputs :]
        own = fields.vectors[-1], fields.evens[-1][..., : self._channels]
        reached = [
            ((weight.mT @ values) * size).sum(1) for weight, values, size in zip(last, own, self.out, strict=True)
        ]
        return SineFields(
            tuple(vectors), tuple(evens), fields.odd_pairs, fields.even_pairs, fields.invariant + sum(reached)
        )

    def _summed(self, pairs: Tensor, values: Tensor) -> Tensor:
        """Pairs [batch, heads, j, k] times values [batch, k, channels], summed over k: [batch, j, channels]."""
        groups = values.unflatten(2, (self._heads, -1)).transpose(1, 2)
        return (pairs @ groups).transpose(1, 2).flatten(2)


def in_radians(fields: SineFields, omega_0: float) -> SineFields:
    """Packed fields with the weights into hidden layers times ω₀: in the phases that they make, which need no constants
    of a population."""
    own = len(fields.vectors)
    outputs = fields.invariant.shape[1]

    def scaled(vectors: Tensor, layer: int) -> Tensor:
        # Incoming weights of the first hidden layer come before the outgoing ones of the last.
        incoming = vectors.shape[2] - (outputs if layer == own - 1 else 0)
        return torch.cat([vectors[..., :incoming] * omega_0, vectors[..., incoming:]], dim=-1)

    return SineFields(
        tuple(scaled(vectors, layer) for layer, vectors in enumerate(fields.vectors)),
        fields.evens,
        tuple(pairs * omega_0 for pairs in fields.odd_pairs),
        tuple(pairs * omega_0 for pairs in fields.even_pairs),
        fields.invariant,
    )


def _waves(fields: SineFields) -> SineFields:
    """Sines of vectors; as evens their cosines, and GELU of the evens. Pairs and invariants stay linear."""
    both = zip(fields.vectors, fields.evens, strict=True)
    evens = [torch.cat([own.cos(), F.gelu(level)], dim=-1) for own, level in both]
    sines = tuple(own.sin() for own in fields.vectors)
    return SineFields(sines, tuple(evens), fields.odd_pairs, fields.even_pairs, fields.invariant)


def _joined(given: SineFields, state: SineFields) -> SineFields:
    """Features of both, side by side; pairs are as given."""
    return SineFields(
        tuple(torch.cat(both, dim=-1) for both in zip(given.vectors, state.vectors, strict=True)),
        tuple(torch.cat(both, dim=-1) for both in zip(given.evens, state.evens, strict=True)),
        given.odd_pairs,
        given.even_pairs,
        torch.cat([given.invariant, state.invariant], dim=-1),
    )


def _both(given: FieldSizes, state: FieldSizes) -> FieldSizes:
    return FieldSizes(
        tuple(map(sum, zip(given.vectors, state.vectors, strict=True))),
        tuple(map(sum, zip(given.evens, state.evens, strict=True))),
        given.odd_pairs,
        given.even_pairs,
        given.invariant + state.invariant,
    )


@torch.no_grad()
def _start(linear: SineLinear, layer: int, coordinates: int, inputs: FieldSizes) -> None:
    """Set the linear part of a layer to the network's own forward pass at evenly spread places.

    Args:
        layer: its number, from 0: the hidden layer whose vectors the messages before it have reached.
        coordinates, inputs: as in `WaveBody`.
    """
    for parameter in linear.parameters():
        parameter.zero_()
    first = _weight(linear.vectors[0])
    if len(first):
        first[:, :coordinates] = spread_places(len(first), coordinates).to(first)
    for reached in range(1, min(layer + 1, len(linear.vectors))):
        _weight(linear.vectors[reached])[:, inputs.vectors[reached] :].fill_diagonal_(1.0)
    for pairs in (*linear.odd_pairs, *linear.even_pairs):
        _weight(pairs).fill_(1.0)
    own = _weight(linear.invariant)
    if layer < len(linear.vectors):
        own[:, : inputs.invariant] = 1 / inputs.invariant  # the last layer's bias
    else:
        own[:, inputs.invariant :].fill_diagonal_(1.0)


@torch.no_grad()
def _start_out(messages: WaveMessages, *, outward: bool) -> None:
    """Of several outputs, the mean; only the layer that has reached the last hidden layer sends there."""
    messages.out.fill_(1 / len(messages.out[0]) if outward else 0.0)


def _weight(linear: nn.Module) -> Tensor:
    """Its matrix; an empty one where it maps from or to a field that does not exist."""
    return linear.weight if isinstance(linear, nn.Linear) else torch.empty(0, 0)


def spread_places(count: int, coordinates: int) -> Tensor:
    """Places spread evenly over [-1, 1] along every coordinate, [count, coordinates]: a scrambled Sobol sequence.

    >>> spread_places(4, 2).abs().max() <= 1
    tensor(True)
    """
    drawn: Tensor = SobolEngine(coordinates, scramble=True, seed=0).draw(count)
    return drawn * 2 - 1
