"""SIREN: an implicit neural representation whose activations are sines (Sitzmann et al. 2020, arXiv 2006.09661)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nfn_cli.architectures import COORDINATES
from nfn_cli.zoo.flat_network import FlatNetwork


@dataclass(frozen=True)
class Siren(FlatNetwork):
    """A network from the place of a pixel, (row, column) in [-1, 1]², to its channels, which are in [-1, 1] too.

    >>> Siren(channels=1).parameter_count
    1185
    """

    channels: int
    width: int = 32
    hidden_layers: int = 2
    omega_0: float = 30.0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of weight and bias of every layer, in order."""
        sizes = [COORDINATES, *[self.width] * self.hidden_layers, self.channels]
        shapes: dict[str, tuple[int, ...]] = {}
        for position, (inputs, outputs) in enumerate(pairwise(sizes)):
            shapes[f"layers.{position}.weight"] = (outputs, inputs)
            shapes[f"layers.{position}.bias"] = (outputs,)
        return shapes

    def initial(self, generator: torch.Generator, scale: float = 1.0) -> Tensor:
        """Parameters [parameter_count] of a new network, float32.

        Weights as in the paper (section 3.2), times `scale`: U(±1/inputs) in the first layer, U(±√(6/inputs)/ω₀) in
        the others.
        Biases as in PyTorch, U(±1/√inputs).
        """
        values = torch.rand(self.parameter_count, generator=generator) * 2 - 1
        for name, part in self.split(values).items():
            if name.endswith("weight"):
                inputs = part.shape[-1]
                first = name == "layers.0.weight"
                bound = scale * (1 / inputs if first else math.sqrt(6 / inputs) / self.omega_0)
            else:
                bound = 1 / math.sqrt(inputs)  # of the weight before it
            part *= bound
        return values
