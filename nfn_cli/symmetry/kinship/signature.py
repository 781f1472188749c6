"""Signatures: a few numbers of a network that do not change along its orbit, but for rounding.

Copies of one network have equal signatures however they are disguised, so that candidates for copies are found by
sorting, without a look at all pairs. An equal signature proves nothing: alignment decides. A small change of the
weights changes it a little. Rotations and other gauges that are no monomial matrices do change it.

>>> import torch
>>> from nfn_cli.architectures import Layer, chain
>>> mlp = chain([Layer("0", "linear", 2, 2), Layer("1", "linear", 2, 1)], activation="relu")
>>> one = {"0.weight": [[1, 2], [3, 4]], "0.bias": [5, 6], "1.weight": [[7, 8]], "1.bias": [9]}
>>> other = {"0.weight": [[6, 8], [1, 2]], "0.bias": [12, 5], "1.weight": [[4, 7]], "1.bias": [9]}
>>> points = [NetworkWeights(mlp, {name: torch.tensor(own) for name, own in own.items()}) for own in (one, other)]
>>> signature_of_chains(points[0]).distance(signature_of_chains(points[1])) < 1e-12
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfn_cli.architectures import NetworkWeights
from nfn_cli.symmetry.kinship.path_norms import path_norms
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_SHOWN = 4  # every fourth number is one that people see


@dataclass(frozen=True)
class Signature:
    """What a network's orbit looks like, in a few numbers.

    Attributes:
        architecture: a fingerprint; only networks with equal ones can be on one orbit.
        values: numbers that are constant along the orbit; logarithms of norms.
        size: the logarithm of a norm of the whole network, by which is guessed who was first (see `direction`).
        tails: how heavy the tails of the weights are: log of E|w|³ / (E w²)^1.5, 0.47 of a normal distribution.
    """

    architecture: str
    values: tuple[float, ...]
    size: float
    tails: float

    def distance(self, other: Signature) -> float:
        """The largest difference of two values; infinite between architectures."""
        if self.architecture != other.architecture or len(self.values) != len(other.values):
            return float("inf")
        return max((abs(a - b) for a, b in zip(self.values, other.values, strict=True)), default=0.0)

    def __str__(self) -> str:
        """A short form for people: `b46a0d41d8a1c3f5 12.3457 9.8765 0.4230 0.2431`."""
        return " ".join([self.architecture[:16], *(f"{value:.4f}" for value in self.values[::_SHOWN])])


def signature_of(source: AnySource) -> Signature:
    """The signature of a network that was read.

    Raises:
        CheckpointError: a tensor cannot be read.
    """
    if isinstance(source, Source):
        return signature_of_chains(source.network.weights)
    from nfn_cli.symmetry.kinship.slice_norms import slice_norms
    from nfn_cli.symmetry.labelled import fingerprint

    norms = slice_norms(source.architecture, source.checkpoint.tensors, source.precision)
    return Signature(fingerprint(source.architecture), norms.values, norms.size, norms.tails)


def signature_of_chains(point: NetworkWeights) -> Signature:
    """The signature of one chain or several, without batch axes."""
    norms = path_norms(point)
    return Signature(point.architecture.fingerprint, norms.values, norms.size, norms.tails)
