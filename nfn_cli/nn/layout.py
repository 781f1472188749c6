"""Weight space sorted by how its tensors transform: the fields on which equivariant layers act.

Every entry of a weight space is multiplied by some product of its neurons' diagonals: W_i[j, k] by d_i[j]/d_{i-1}[k],
b_i[j] by d_i[j]. A *field* gathers all entries that are multiplied alike, neuron by neuron. A linear map commutes with
the group exactly if it mixes entries of one field at the same neurons, and nothing else (proved by the null space of
the constraints in `tests/nn/test_null_space.py`; arXiv 2409.11697, theorems 5.1 and 5.2). So a field is an array
[batch, neurons..., features], and an equivariant linear layer is one matrix a field.

Axes that no group owns (inputs, outputs, kernel entries, the positions of a flattened axis) ride in the features.

Under scalings the fields of an MLP are W₁ with b₁ (over group 1), each inner Wᵢ, each inner bᵢ, W_L (over group L−1)
and b_L (over none). Under signs d = 1/d, so W_L and b_{L−1} share a field.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, Side, TensorSpec
from nfn_cli.errors import HeadError
from nfn_cli.symmetry import DiagonalKind, diagonal_kind

_SUPPORTED = (DiagonalKind.POSITIVE, DiagonalKind.SIGN)


@dataclass(frozen=True)
class Field:
    """Entries that transform alike.

    Attributes:
        groups: the neuron groups whose indices the entries carry, ascending: none, one or two in a chain.
        tensors: positions in `Architecture.tensors` of the tensors gathered here.
        features: entries per tuple of neurons; independent of any hidden width.
    """

    groups: tuple[int, ...]
    tensors: tuple[int, ...]
    features: int


@dataclass(frozen=True)
class Layout:
    """The fields of an architecture.

    >>> from nfn_cli.architectures import Layer, chain
    >>> mlp = chain([Layer("0", "linear", 2, 8, ()), Layer("1", "linear", 8, 3, ())], activation="relu")
    >>> [(field.groups, field.features) for field in Layout.of(mlp).fields]
    [((0,), 3), ((0,), 3), ((), 3)]
    """

    kind: DiagonalKind
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, architecture: Architecture) -> Layout:
        """Sort the tensors of an architecture into fields.

        Raises:
            HeadError: an activation that allows no scalings or signs, for which other terms would be missing.
        """
        kinds = {diagonal_kind(group.activation, architecture.pool) for group in architecture.groups}
        if len(kinds) != 1 or not kinds <= set(_SUPPORTED):
            raise HeadError(
                architecture.describe(),
                f"activation {architecture.activation} has neither scalings nor signs as symmetries",
                "Monomial-NFN layers need relu, leaky_relu, tanh, sin or the like",
            )
        (kind,) = kinds
        members: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for position, spec in enumerate(architecture.tensors):
            members.setdefault(charges(spec, kind), []).append(position)
        fields = [
            Field(
                groups=tuple(group for group, _ in charges),
                tensors=tuple(positions),
                features=sum(_features(architecture.tensors[position]) for position in positions),
            )
            for charges, positions in members.items()
        ]
        return cls(kind, tuple(fields))

    def pack(self, point: NetworkWeights) -> list[Tensor]:
        """Gather a batch of points into their fields, [batch, neurons..., features] each."""
        specs = point.architecture.tensors
        return [
            torch.cat([_to_rows(point.tensors[specs[i].name], specs[i]) for i in field.tensors], dim=-1)
            for field in self.fields
        ]

    def unpack(self, fields: Sequence[Tensor], architecture: Architecture) -> NetworkWeights:
        """Inverse of `pack`, for an architecture with these fields and any hidden widths."""
        tensors: dict[str, Tensor] = {}
        for field, values in zip(self.fields, fields, strict=True):
            specs = [architecture.tensors[i] for i in field.tensors]
            pieces = values.split([_features(spec) for spec in specs], dim=-1)
            tensors |= {spec.name: _from_rows(piece, spec) for spec, piece in zip(specs, pieces, strict=True)}
        return NetworkWeights(architecture, {spec.name: tensors[spec.name] for spec in architecture.tensors})


def charges(spec: TensorSpec, kind: DiagonalKind) -> tuple[tuple[int, int], ...]:
    """(group, exponent of its diagonal) per group; exponents only matter modulo 2 where d = ±1."""
    charge = {Side.OUT: 1, Side.IN: 1 if kind is DiagonalKind.SIGN else -1}
    return tuple(sorted((role.group, charge[role.side]) for role in spec.roles if role.group is not None))


def _features(spec: TensorSpec) -> int:
    sizes = zip(spec.shape, spec.roles, strict=True)
    return math.prod(size if role.group is None else role.repeat for size, role in sizes)


def _split_shape(spec: TensorSpec, shape: Sequence[int]) -> tuple[list[int], list[int]]:
    """The shape with every flattened axis cut into neurons and entries, and the positions of the neurons by group."""
    cut: list[int] = []
    neurons: list[tuple[int, int]] = []
    for size, role in zip(shape, spec.roles, strict=True):
        if role.group is not None:
            neurons.append((role.group, len(cut)))
            cut.append(size // role.repeat)
            size = role.repeat
        cut.append(size)
    return cut, [axis for _, axis in sorted(neurons)]


def _to_rows(tensor: Tensor, spec: TensorSpec) -> Tensor:
    cut, neurons = _split_shape(spec, tensor.shape[1:])
    values = tensor.reshape(tensor.shape[0], *cut)
    rest = [axis for axis in range(len(cut)) if axis not in neurons]
    ordered = values.permute(0, *(1 + axis for axis in neurons + rest))
    return ordered.reshape(*ordered.shape[: 1 + len(neurons)], _features(spec))


def _from_rows(rows: Tensor, spec: TensorSpec) -> Tensor:
    cut, neurons = _split_shape(spec, spec.shape)
    rest = [axis for axis in range(len(cut)) if axis not in neurons]
    order = neurons + rest
    values = rows.reshape(rows.shape[0], *(cut[axis] for axis in order))
    back = [order.index(axis) for axis in range(len(cut))]
    return values.permute(0, *(1 + axis for axis in back)).reshape(rows.shape[0], *spec.shape)
