"""The rows of the table. A method more is one entry of `METHODS`.

NP and HNP are set up as in their authors' code for classifying INRs of MNIST (random Fourier features of the weights
with scale 3, dropout 0.1, a readout of two hidden layers of 1000 units), but for what a CPU cannot bear: three
equivariant layers of 32 channels in place of 512, 32 Fourier frequencies in place of 128, thousands of steps in place
of 200,000, and one SIREN a picture where theirs have eleven.

Monomial-NFN is the paper's as far as its layers go, invariant to phase shifts too. With messages, its layers multiply
fields as well; with sines, the nonlinearity on what changes sign is the sine in place of tanh. With both they can
compute a network's values, and are started there, at 128 places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn import CoordinateProbe, CoordinateProbeSizes
from nfn_cli.nn.baselines import FourierFeatures, PermutationNFN, VectorMLP, read_tensors, read_weights
from nfn_cli.nn.sine import MonomialInr, MonomialInrSizes

Read = Callable[[NetworkWeights], list[Tensor]]
Make = Callable[[Architecture, int, bool], tuple[nn.Module, Read]]
"""From the architecture, the number of classes and whether mirrored pictures keep theirs."""

OURS = "coordinate-probe"
_PLACES = 128


@dataclass(frozen=True)
class Method:
    """A row.

    Attributes:
        title: at the head of the row.
        make: a module, and what it takes of a batch of networks.
        augmented: whether it is shown augmented networks; see `augmentation`.
    """

    title: str
    make: Make
    learning_rate: float
    augmented: bool = False


def _flat_mlp(architecture: Architecture, classes: int, mirror: bool) -> tuple[nn.Module, Read]:
    return VectorMLP(architecture.parameter_count, outputs=classes), read_weights


def _permutation(kind: Literal["NP", "HNP"]) -> Make:
    def make(architecture: Architecture, classes: int, mirror: bool) -> tuple[nn.Module, Read]:
        fourier = FourierFeatures(count=32, scale=3.0)
        module = PermutationNFN(architecture, kind, (32, 32, 32), outputs=classes, fourier=fourier, dropout=0.1)
        return module, read_tensors

    return make


def _monomial(**sizes: Any) -> Make:
    def make(architecture: Architecture, classes: int, mirror: bool) -> tuple[nn.Module, Read]:
        module = MonomialInr(architecture, MonomialInrSizes(**sizes), classes)
        return module, module.encode

    return make


def _coordinate_probe(architecture: Architecture, classes: int, mirror: bool) -> tuple[nn.Module, Read]:
    module = CoordinateProbe(architecture, CoordinateProbeSizes(mirror=mirror), classes)
    return module, module.encode


def _plain_probe(architecture: Architecture, classes: int, mirror: bool) -> tuple[nn.Module, Read]:
    sizes = CoordinateProbeSizes(turn=0.0, stretch=0.0, move=0.0)
    module = CoordinateProbe(architecture, sizes, classes)
    return module, module.encode


def _both(name: str, title: str, make: Make, learning_rate: float) -> dict[str, Method]:
    """A baseline on networks as they are, and on augmented ones."""
    return {
        name: Method(title, make, learning_rate),
        f"{name}-augmented": Method(f"{title}, augmented", make, learning_rate, augmented=True),
    }


METHODS = {
    **_both("flat-mlp", "MLP on all weights", _flat_mlp, 1e-4),
    **_both("np", "NP", _permutation("NP"), 1e-3),
    **_both("hnp", "HNP", _permutation("HNP"), 1e-3),
    **_both("monomial-nfn", "Monomial-NFN", _monomial(), 3e-3),
    **_both("monomial-messages", "Monomial-NFN with messages", _monomial(messages=True), 3e-3),
    "monomial-sines": Method("Monomial-NFN with sines", _monomial(sines=True, channels=_PLACES), 3e-3),
    **_both(
        "monomial-sines-messages",
        "Monomial-NFN with sines and messages",
        _monomial(sines=True, messages=True, channels=_PLACES),
        3e-3,
    ),
    "plain-probe": Method("Coordinate-Probe, not augmented", _plain_probe, 3e-3),
    OURS: Method("Coordinate-Probe (ours)", _coordinate_probe, 3e-3),
}
