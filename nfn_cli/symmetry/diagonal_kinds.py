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

    @property
    def is_scaled(self) -> bool:
        """Whether any positive factor is allowed."""
        return self in (DiagonalKind.POSITIVE, DiagonalKind.NONZERO)

    @property
    def is_signed(self) -> bool:
        """Whether −1 is allowed."""
        return self in (DiagonalKind.SIGN, DiagonalKind.NONZERO)


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


def phase_step(architecture: Architecture, group: int) -> int:
    """The half-turns by which phases of a group may be shifted at once: 1, or 2 where a sign may not change.

    0 where there are no phases: behind other activations than a sine, and without a bias in the file.
    """
    if architecture.groups[group].activation != "sin" or group not in architecture.biased_groups:
        return 0
    return 1 if group_kind(architecture, group) is DiagonalKind.SIGN else 2


def depends_on_pooling(architecture: Architecture) -> bool:
    """Whether a pooling that is not known decides if signs are allowed behind convolutions."""
    signed = diagonal_kind(architecture.activation).is_signed
    return architecture.pool is None and architecture.has_hidden_convolutions and signed
