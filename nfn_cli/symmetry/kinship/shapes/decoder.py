"""A decoder as its layout names it: its layers' tensors as matrices, the gains of norms multiplied in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nfn_cli.architectures.traced import shapes_of
from nfn_cli.checkpoints import TensorMap
from nfn_cli.symmetry.kinship.shapes.layouts import Layout

if TYPE_CHECKING:
    from nfn_cli.symmetry.labelled.source import LabelledSource


@dataclass(frozen=True)
class Decoder:
    """A source whose network is a decoder of a known layout.

    Attributes:
        depth, tokens, inner: how many layers, rows of the vocabulary and MLP neurons it has.
    """

    source: LabelledSource
    layout: Layout

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, by the module's names."""
        found = shapes_of(self.source.checkpoint)
        return {name: found[own] for name, own in self.source.network.names.items()}

    @cached_property
    def trunk(self) -> str:
        """What the trunk's names begin with."""
        return self.layout.trunk if f"{self.layout.trunk}{self.layout.embedding}.weight" in self.shapes else ""

    @cached_property
    def depth(self) -> int:
        """How many layers."""
        return int(self._config(self.layout.depth_field))

    @cached_property
    def tokens(self) -> int:
        """Rows of the vocabulary."""
        return self.shapes[f"{self.trunk}{self.layout.embedding}.weight"][0]

    @cached_property
    def width(self) -> int:
        """Of the stream."""
        return self.shapes[f"{self.trunk}{self.layout.embedding}.weight"][1]

    @cached_property
    def inner(self) -> int:
        """Neurons of an MLP."""
        shape = self.shapes[f"{self.layer(0)}{self.layout.down}.weight"]
        return shape[0] if self.layout.transposed else shape[1]

    def layer(self, number: int) -> str:
        """What the names of a layer's tensors begin with, with the dot."""
        return f"{self.trunk}{self.layout.layer}{number}."

    def of_layer(self, number: int) -> Iterator[tuple[str, str]]:
        """The name of each tensor of a layer, by the module, without and with what all begin with."""
        begin = self.layer(number)
        return ((name[len(begin) :], name) for name in self.shapes if name.startswith(begin))

    def tensor(self, name: str) -> Tensor:
        """A tensor by the module's name, float32."""
        return self.source.checkpoint.tensors[self.source.network.names[name]].float()

    def embedded(self, rows: Tensor) -> Tensor:
        """Rows of the embedding [rows, width], float32."""
        name = self.source.network.names[f"{self.trunk}{self.layout.embedding}.weight"]
        tensors = self.source.checkpoint.tensors
        found = tensors.rows(name, rows) if isinstance(tensors, TensorMap) else tensors[name][rows]
        return found.float()

    def matrix(self, number: int, name: str) -> Tensor:
        """A layer's weight [outputs, inputs]."""
        found = self.tensor(f"{self.layer(number)}{name}.weight")
        return found.T if self.layout.transposed else found

    def gain(self, number: int, name: str | None) -> Tensor | float:
        """The gains of a norm; 1 for none."""
        return 1.0 if name is None else self.tensor(f"{self.layer(number)}{name}.weight") + self.layout.offset

    def heads(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [heads, size, width] of a layer; keys and values of a group repeated."""
        layout, count = self.layout, int(self._config(self.layout.heads_field))
        if len(layout.query_key_value) == 1:
            fused = self.matrix(number, layout.query_key_value[0])
            if layout.is_fused_by_head:
                query, key, value = fused.unflatten(0, (count, 3, -1)).unbind(1)
            else:
                query, key, value = fused.unflatten(0, (3, count, -1)).unbind(0)
            return query, key, value
        groups = int(self._config(layout.groups_field) or count)
        query, key, value = (self.matrix(number, name) for name in layout.query_key_value)
        repeated = [own.unflatten(0, (groups, -1)).repeat_interleave(count // groups, 0) for own in (key, value)]
        return query.unflatten(0, (count, -1)), repeated[0], repeated[1]

    def _config(self, field: str) -> Any:
        assert self.source.network.config is not None
        return self.source.network.config.get(field)


@dataclass(frozen=True)
class Streams:
    """Directions of the residual streams of two decoders that correspond.

    Attributes:
        ours, theirs: orthonormal columns [width, directions]; equal columns correspond.
    """

    ours: Tensor
    theirs: Tensor


def streams_of(ours: Decoder, theirs: Decoder, most: int = 8) -> Streams:
    """The rotation between two streams that brings the embeddings of common tokens nearest (Procrustes).

    It follows every rotation, and so every signed permutation, of a stream. Directions in which tokens do not differ
    are left out.

    Args:
        most: rows that are used, as multiples of the width.
    """
    tokens = min(ours.tokens, theirs.tokens)
    count = min(tokens, most * ours.width)
    rows = torch.linspace(0, tokens - 1, count).round().long()
    product = ours.embedded(rows).double().T @ theirs.embedded(rows).double()
    left, sizes, right = torch.linalg.svd(product)
    some = sizes > 1e-6 * sizes.max()
    return Streams(left[:, some].float(), right.T[:, some].float())


def layer_maps(decoder: Decoder, number: int, basis: Tensor, probe: Tensor) -> list[Tensor]:
    """What a layer would do to the stream if it were linear: [directions, probes] for values, scores and the MLP.

    They are products in which heads and hidden neurons are summed over, so that no permutation or scale of these
    changes them: Σ O_h V_h, Σ Q_hᵀ K_h, and W_down W_up.

    Args:
        basis: directions of its stream [width, directions].
        probe: combinations of these [directions, probes].
    """
    layout, given = decoder.layout, basis @ probe
    first, second = (decoder.gain(number, name) for name in layout.before)
    last = [decoder.gain(number, name) for name in layout.behind]
    query, key, value = decoder.heads(number)
    read = _scaled(first, given)
    mixed = decoder.matrix(number, layout.output) @ (value.flatten(0, 1) @ read)
    maps = [basis.T @ _scaled(last[0], mixed)]
    if layout.has_plain_scores:
        scores = query.flatten(0, 1).T @ (key.flatten(0, 1) @ read)
        maps.append(basis.T @ _scaled(first, scores))
    inner = decoder.matrix(number, layout.feeds[-1]) @ _scaled(second, given)
    return [*maps, basis.T @ _scaled(last[1], decoder.matrix(number, layout.down) @ inner)]


def similarities(ours: Decoder, theirs: Decoder, streams: Streams, most: int = 256) -> Tensor:
    """How like each layer of A is to each of B: the mean cosine of their maps, [layers of A, layers of B].

    Args:
        most: directions that the maps are taken at.
    """
    directions = streams.ours.shape[1]
    probe = torch.eye(directions)
    if directions > most:
        probe = torch.randn(directions, most, generator=torch.Generator().manual_seed(0))
    maps = []
    for decoder, basis in ((ours, streams.ours), (theirs, streams.theirs)):
        each = [layer_maps(decoder, number, basis, probe) for number in range(decoder.depth)]
        maps.append([torch.stack([own[kind].flatten() for own in each]) for kind in range(len(each[0]))])
    unit = [
        [rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-30) for rows in own] for own in maps
    ]
    return torch.stack([a @ b.T for a, b in zip(*unit, strict=True)]).mean(0)


def fed_rows(decoder: Decoder, number: int, basis: Tensor) -> Tensor:
    """What feeds each MLP neuron of a layer, of a gated MLP its gate, [neurons, directions of the stream]."""
    weight = decoder.matrix(number, decoder.layout.feeds[0])
    gain = decoder.gain(number, decoder.layout.before[1])
    return (weight * gain) @ basis


def _scaled(gain: Tensor | float, columns: Tensor) -> Tensor:
    return columns * gain[:, None] if isinstance(gain, Tensor) else columns
