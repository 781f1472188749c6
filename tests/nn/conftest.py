"""Architectures and random points that the tests of this room share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.zoo import Siren

RandomPoint = Callable[..., NetworkWeights]
Inr = Callable[..., Architecture]
RandomInrs = Callable[..., NetworkWeights]


@pytest.fixture
def random_point() -> RandomPoint:
    """Make `batch` networks with standard normal weights."""

    def make(
        architecture: Architecture, batch: int, *, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> NetworkWeights:
        generator = torch.Generator().manual_seed(seed)
        return NetworkWeights(
            architecture,
            {
                spec.name: torch.randn(batch, *spec.shape, generator=generator, dtype=torch.float64).to(dtype)
                for spec in architecture.tensors
            },
        )

    return make


@pytest.fixture
def small_cnn() -> Callable[..., Architecture]:
    """The Small CNN Zoo's network, of any width."""

    def make(activation: str = "relu", width: int = 16) -> Architecture:
        return chain(
            [
                Layer("conv1", "conv", 1, width, (3, 3)),
                Layer("conv2", "conv", width, width, (3, 3)),
                Layer("conv3", "conv", width, width, (3, 3)),
                Layer("fc", "linear", width, 10),
            ],
            activation=activation,
        )

    return make


def mlp(*widths: int, activation: str) -> Architecture:
    """A multilayer perceptron."""
    pairs = itertools.pairwise(widths)
    return chain([Layer(str(i), "linear", n, m) for i, (n, m) in enumerate(pairs)], activation=activation)


def flattening(activation: str) -> Architecture:
    """Two one-dimensional convolutions, a flatten of two positions, and two linear layers."""
    return chain(
        [
            Layer("a", "conv", 1, 2, (2,)),
            Layer("b", "conv", 2, 2, (1,)),
            Layer("c", "linear", 4, 2, (), 2),
            Layer("d", "linear", 2, 1),
        ],
        activation=activation,
    )


SMALL: dict[str, Callable[[str], Architecture]] = {
    "2 layers": lambda activation: mlp(2, 3, 2, activation=activation),
    "3 layers": lambda activation: mlp(2, 2, 3, 2, activation=activation),
    "4 layers": lambda activation: mlp(1, 2, 2, 2, 2, activation=activation),
    "flatten": flattening,
}


@pytest.fixture(params=SMALL)
def make_small(request: pytest.FixtureRequest) -> Callable[[str], Architecture]:
    """Each of a few networks, small enough for linear algebra on all maps between their weight spaces."""
    return SMALL[request.param]


@pytest.fixture(params=["relu", "tanh"])
def small_architecture(request: pytest.FixtureRequest, make_small: Callable[[str], Architecture]) -> Architecture:
    """Those networks under scalings and under signs."""
    return make_small(request.param)


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
