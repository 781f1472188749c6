"""Implicit neural representations that the tests of this room share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.zoo import Siren

Inr = Callable[..., Architecture]
RandomInrs = Callable[..., NetworkWeights]


@pytest.fixture(scope="session")
def inr() -> Inr:
    """The architecture of an INR with these hidden widths."""

    def make(*hidden: int, channels: int = 1, activation: str = "sin", omega_0: float = 30.0) -> Architecture:
        sizes = itertools.pairwise((2, *hidden, channels))
        layers = [Layer(f"layers.{i}", "linear", before, after) for i, (before, after) in enumerate(sizes)]
        return chain(layers, activation=activation, omega_0=omega_0)

    return make


@pytest.fixture(scope="session")
def random_inrs() -> RandomInrs:
    """SIRENs as they are before a fit, float64 [networks, *shape], but with last layers as large as after one."""

    def make(
        networks: int,
        *,
        width: int = 8,
        hidden_layers: int = 2,
        channels: int = 1,
        omega_0: float = 30.0,
        seed: int = 0,
    ) -> NetworkWeights:
        siren = Siren(channels, width, hidden_layers, omega_0)
        generator = torch.Generator().manual_seed(seed)
        parameters = torch.stack([siren.initial(generator) for _ in range(networks)]).double()
        tensors = siren.split(parameters)
        tensors[f"layers.{hidden_layers}.weight"] *= 10
        sizes = itertools.pairwise((2, *[width] * hidden_layers, channels))
        layers = [Layer(f"layers.{i}", "linear", before, after) for i, (before, after) in enumerate(sizes)]
        return NetworkWeights(chain(layers, activation="sin", omega_0=omega_0), tensors)

    return make
