"""Which diagonals an activation commutes with, and so which monomial group acts on its neurons.

Source: arXiv 2409.11697, section 4. A neuron whose output is multiplied by d, with the weights that read it divided by
d, leaves the network's function unchanged exactly if σ(d·x) = d·σ(x).

>>> diagonal_kind("relu")
<DiagonalKind.POSITIVE: 'positive'>
>>> diagonal_kind("tanh", pool="max")
<DiagonalKind.TRIVIAL: 'trivial'>
"""

from __future__ import annotations

from enum import Enum

from nfn_cli.architectures import Architecture


class DiagonalKind(Enum):
    """The diagonals of a neuron group: d > 0, d = ±1, d ≠ 0, or d = 1."""

    POSITIVE = "positive"
    SIGN = "sign"
    NONZERO = "nonzero"
    TRIVIAL = "trivial"


_KINDS = {
    "relu": DiagonalKind.POSITIVE,
    "leaky_relu": DiagonalKind.POSITIVE,
    "prelu": DiagonalKind.POSITIVE,
    "tanh": DiagonalKind.SIGN,
    "sin": DiagonalKind.SIGN,
    "softsign": DiagonalKind.SIGN,
    "erf": DiagonalKind.SIGN,
    "identity": DiagonalKind.NONZERO,
}


def diagonal_kind(activation: str, pool: str | None = None) -> DiagonalKind:
    """The diagonals that commute with `activation` and a pooling behind it ("max", "avg", None).

    An activation that is not listed has no symmetry but permutations. Maximum does not commute with a sign.
    """
    kind = _KINDS.get(activation, DiagonalKind.TRIVIAL)
    if pool == "max" and kind is DiagonalKind.SIGN:
        return DiagonalKind.TRIVIAL
    if pool == "max" and kind is DiagonalKind.NONZERO:
        return DiagonalKind.POSITIVE
    return kind


def group_kind(architecture: Architecture, group: int) -> DiagonalKind:
    """The diagonals that act on one neuron group of a network."""
    neurons = architecture.groups[group]
    return DiagonalKind.TRIVIAL if neurons.rigid else diagonal_kind(neurons.activation, architecture.pool)
