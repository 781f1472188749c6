"""Architectures of every shape, random points in their weight spaces, and their inputs.

The fixtures are functions without state, made once, so that property tests may use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain, functional_forward

LAYERS = {
    "mlp": [Layer("0", "linear", 3, 8), Layer("1", "linear", 8, 5), Layer("2", "linear", 5, 4)],
    "conv1d": [Layer("a", "conv", 2, 4, (3,)), Layer("b", "conv", 4, 3, (2,)), Layer("c", "linear", 15, 2, spatial=5)],
    "conv2d": [
        Layer("a", "conv", 1, 4, (3, 2)),
        Layer("b", "linear", 4 * 30, 6, spatial=30),
        Layer("c", "linear", 6, 3),
    ],
    "conv3d": [Layer("a", "conv", 1, 6, (2, 2, 2)), Layer("b", "linear", 6 * 343, 2, spatial=343)],
    "global pooling": [Layer("a", "conv", 2, 4, (3, 3)), Layer("b", "conv", 4, 3, (2, 2)), Layer("c", "linear", 3, 2)],
    "convolutions": [Layer("a", "conv", 2, 4, (3,)), Layer("b", "conv", 4, 3, (1,)), Layer("c", "conv", 3, 2, (2,))],
}

# Small chains whose weights are drawn with biases of their own size.
CHAINS = {
    "mlp": [Layer("a", "linear", 3, 7), Layer("b", "linear", 7, 6), Layer("c", "linear", 6, 2)],
    "cnn": [
        Layer("a", "conv", 2, 4, (3, 3)),
        Layer("b", "conv", 4, 5, (2, 2)),
        Layer("c", "linear", 20, 6, (), 4),
        Layer("d", "linear", 6, 3),
    ],
    "unbiased": [Layer("a", "linear", 3, 5, has_bias=False), Layer("b", "linear", 5, 2)],
}

MakeArchitecture = Callable[..., Architecture]
RandomPoint = Callable[..., NetworkWeights]
MakeNetwork = Callable[..., NetworkWeights]


@pytest.fixture(scope="session")
def architecture_of() -> MakeArchitecture:
    """The chain of this name: linear layers, convolutions of one to three dimensions, flattens, a global pooling."""

    def make(name: str, activation: str, *, pool: str | None = None) -> Architecture:
        # A SIREN's own frequency would make its output chaotic in its weights' last digits.
        return chain(LAYERS[name], activation=activation, omega_0=2.0, pool=pool)

    return make


@pytest.fixture(scope="session")
def random_point() -> RandomPoint:
    """Weights as they are at the start of a training, biases as large as activations."""

    def make(
        architecture: Architecture, *batch: int, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> NetworkWeights:
        generator = torch.Generator().manual_seed(seed)

        def draw(shape: tuple[int, ...]) -> Tensor:
            fan_in = max(1, torch.Size(shape[1:]).numel())
            return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64) / fan_in**0.5

        return NetworkWeights(architecture, {spec.name: draw(spec.shape).to(dtype) for spec in architecture.tensors})

    return make


@pytest.fixture(scope="session")
def network() -> MakeNetwork:
    """A chain, by its name or its layers, with standard normal weights and biases."""

    def make(
        layers: str | Sequence[Layer],
        activation: str,
        seed: int = 0,
        pool: str | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> NetworkWeights:
        layers = CHAINS[layers] if isinstance(layers, str) else layers
        architecture = chain(layers, activation=activation, omega_0=3.0, pool=pool)
        generator = torch.Generator().manual_seed(seed)
        tensors = {
            spec.name: torch.randn(spec.shape, generator=generator, dtype=torch.float64).to(dtype)
            for spec in architecture.tensors
        }
        for layer in layers:
            if not layer.has_bias:
                tensors[f"{layer.name}.bias"].zero_()
        return NetworkWeights(architecture, tensors)

    return make


@pytest.fixture(scope="session")
def changed() -> Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]:
    """A copy of a network, with its tensors changed by a function."""

    def copy(point: NetworkWeights, change: Callable[[dict[str, Tensor]], object]) -> NetworkWeights:
        tensors = {name: tensor.clone() for name, tensor in point.tensors.items()}
        change(tensors)
        return NetworkWeights(point.architecture, tensors)

    return copy


@pytest.fixture(scope="session")
def outputs() -> Callable[..., Tensor]:
    """What a network, or each of a batch, computes on 16 fixed inputs."""

    def compute(point: NetworkWeights) -> Tensor:
        first = point.architecture.layers[0]
        spec = point.architecture.tensors[0]
        tensor = point.tensors[spec.name]
        if tensor.ndim > len(spec.shape):
            members = [{name: values[i] for name, values in point.tensors.items()} for i in range(len(tensor))]
            return torch.stack([compute(replace(point, tensors=member)) for member in members])
        space = {0: (), 1: (8,), 2: (8, 6), 3: (8, 8, 8)}[len(first.kernel)]
        generator = torch.Generator().manual_seed(99)
        inputs = torch.randn(16, first.in_features, *space, generator=generator, dtype=torch.float64)
        return functional_forward(point, inputs.to(tensor.dtype))

    return compute


@pytest.fixture(scope="session")
def deviation() -> Callable[[Tensor, Tensor], float]:
    """The largest difference, relative to the largest expected value."""

    def measure(found: Tensor, expected: Tensor) -> float:
        assert found.shape == expected.shape
        assert expected.abs().max() > 1e-3
        return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())

    return measure


@pytest.fixture(scope="session")
def silence() -> Callable[[dict[str, Tensor]], None]:
    """A change of the small `mlp` that leaves it dead neurons."""

    def apply(tensors: dict[str, Tensor]) -> None:
        """Neurons 2 and 5 of the first layer get no input; 3 of the second is not read, 4 reads only a silent one."""
        for neuron in (2, 5):
            tensors["a.weight"][neuron] = 0
            tensors["a.bias"][neuron] = 0
        tensors["c.weight"][:, 3] = 0
        kept = tensors["b.weight"][4, 2].clone()
        tensors["b.weight"][4] = 0
        tensors["b.weight"][4, 2] = kept
        tensors["b.bias"][4] = 0

    return apply
