"""NP and HNP: permutation-invariant neural functionals (Zhou et al. 2023, arXiv 2302.14040), of the PyPI package `nfn`.

The set-up is the one of the authors' code for predicting generalisation, which arXiv 2409.11697 takes over: three
equivariant layers of 16, 16 and 5 channels with ReLUs between, a pooling that keeps input and output axes apart, and
two hidden layers of 1000 units. NP shares its weights along the input and output axes too and tells them apart by
learned embeddings. On the Small CNN Zoo's networks this makes 2,031,390 and 2,811,743 parameters. In place of their
standardising of single entries, which permutations would upset, whole tensors are standardised.

For implicit neural representations their code does otherwise: random Fourier features of the weights as they are, fixed
sinusoidal encodings of layers, inputs and outputs for NP, wider layers, and dropout. `FourierFeatures` asks for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.errors import HeadError
from nfn_cli.nn.readout import logits, readout

# Of the sinusoidal encodings of places, in the authors' settings for MNIST.
_LARGEST_FREQUENCY = 3
_BANDS = 3


@dataclass(frozen=True)
class FourierFeatures:
    """sin and cos of 2π b w for `count` random b of standard deviation `scale`: 2 · count channels of an entry w."""

    count: int = 128
    scale: float = 3.0


def read_tensors(point: NetworkWeights) -> list[Tensor]:
    """The tensors of a batch of networks as they are, float32 [batch, *shape]: first weight, first bias, ..."""
    return [point.tensors[spec.name].float() for spec in point.architecture.tensors]


class PermutationNFN(nn.Module):
    """Maps the tensors of a batch of networks to logits, whatever the order of hidden neurons.

    Args:
        architecture: of the networks; their hidden widths are free.
        kind: "NP" or "HNP", whether input and output neurons may be permuted as well (but for embeddings) or not.
        channels: of each equivariant layer.
        hidden: units of each of the readout's two hidden layers.
        outputs: number of logits.
        fourier: encodes the entries, in place of standardising tensors.
        dropout: of whole channels behind each equivariant layer, and of the readout's hidden units.

    Raises:
        HeadError: the package is not installed, or does not read such layers.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        architecture: Architecture,
        kind: Literal["NP", "HNP"],
        channels: Sequence[int] = (16, 16, 5),
        hidden: int = 1000,
        outputs: int = 1,
        fourier: FourierFeatures | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers = _package(kind)
        _check(architecture, kind)
        spec = _specification(architecture)
        functional: list[nn.Module] = []
        before = 1
        if fourier is not None:
            functional.append(layers.GaussianFourierFeatureTransform(spec, 1, fourier.count, fourier.scale))
            before = 2 * fourier.count
            if kind == "NP":
                places = layers.IOSinusoidalEncoding(spec, _LARGEST_FREQUENCY, _BANDS)
                functional.append(places)
                before = places.num_out_chan(before)
        for after in channels:
            if kind == "NP":
                functional.append(layers.NPLinear(spec, before, after, io_embed=fourier is None))
            else:
                functional.append(layers.HNPLinear(spec, before, after))
            functional.append(layers.TupleOp(nn.ReLU()))
            if dropout > 0:
                functional.append(layers.ChannelDropout(dropout))
            before = after
        self.functional = nn.Sequential(*functional, layers.HNPPool(spec), nn.Flatten(1))
        self.readout = readout(before * layers.HNPPool.get_num_outs(spec), hidden, outputs, dropout)
        self.standardises = fourier is None
        self.register_buffer("shift", torch.zeros(len(architecture.tensors)))
        self.register_buffer("scale", torch.ones(len(architecture.tensors)))

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set mean and spread of every tensor, over all its entries, from a training population [networks, *shape]."""
        if not self.standardises:
            return
        for position, tensor in enumerate(inputs):
            entries = tensor.cpu().double()  # not every device has float64
            spread = entries.std(correction=0)
            self.shift[position] = entries.mean()
            self.scale[position] = 1 / spread if spread > 0 else 1.0

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of tensors [batch, *shape] from `read_tensors`: [batch], or [batch, outputs] of several outputs."""
        standard = [(tensor - self.shift[i]) * self.scale[i] for i, tensor in enumerate(inputs)]
        return logits(self.readout(self.functional(_features(standard))))


def _package(kind: str) -> Any:
    try:
        import nfn.layers  # type: ignore[import-untyped,import-not-found]
    except ImportError as error:
        raise HeadError(kind, "the package nfn is not installed", "pip install 'nfn-cli[bench]'") from error
    return nfn.layers


def _check(architecture: Architecture, kind: str) -> None:
    for layer in architecture.layers:
        if layer.spatial > 1 or len(layer.kernel) not in (0, 2) or not architecture.hidden_widths:
            raise HeadError(
                architecture.describe(),
                f"{kind} reads at least two layers, linear or two-dimensional convolutions, with no flatten between",
                "compare on other networks, or leave it out",
            )


def _features(tensors: Sequence[Tensor]) -> Any:
    """The package's own form: weights and biases apart, with an axis for channels, [batch, 1, *shape]."""
    from nfn.common import WeightSpaceFeatures  # type: ignore[import-untyped,import-not-found]

    widened = [tensor.unsqueeze(1) for tensor in tensors]
    return WeightSpaceFeatures(*weights_and_biases(widened))


def _specification(architecture: Architecture) -> Any:
    from nfn.common import network_spec_from_wsfeat

    return network_spec_from_wsfeat(_features([torch.empty(1, *spec.shape) for spec in architecture.tensors]))
