"""The flatten, the pooling before it, and the activation between the layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures import (
    FUNCTIONS,
    Layer,
    NetworkWeights,
    ReadNetwork,
    chain,
    functional_forward,
    population_forward,
)

Read = Callable[..., ReadNetwork]
Deviation = Callable[[Tensor, Tensor], float]

MODULES: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "tanh": nn.Tanh(),
    "softsign": nn.Softsign(),
    "identity": nn.Identity(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(),
    "hardswish": nn.Hardswish(),
    "relu6": nn.ReLU6(),
}


@pytest.mark.parametrize("activation", MODULES)
def test_an_activation_is_that_of_torch(activation: str, read: Read, deviation: Deviation) -> None:
    network = nn.Sequential(nn.Linear(3, 16), MODULES[activation], nn.Linear(16, 2)).double()
    inputs = 3 * torch.randn(64, 3, dtype=torch.float64)
    found = functional_forward(read(network, activation=activation).weights, inputs)
    assert deviation(found, network(inputs)) < 1e-12


def test_every_other_activation_is_tested_elsewhere_in_this_file() -> None:
    assert set(FUNCTIONS) - set(MODULES) == {"sin", "erf", "prelu"}


def test_a_sine_has_its_frequency(read: Read, deviation: Deviation) -> None:
    network = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)).double()
    inputs = torch.rand(16, 2, dtype=torch.float64)
    first, second, last = network
    expected = last(torch.sin(7.5 * second(torch.sin(7.5 * first(inputs)))))
    point = read(network, activation="sin").weights
    architecture = chain(point.architecture.layers, activation="sin", omega_0=7.5)
    assert deviation(functional_forward(NetworkWeights(architecture, point.tensors), inputs), expected) < 1e-12


def test_erf_is_the_error_function(read: Read, deviation: Deviation) -> None:
    network = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1)).double()
    inputs = torch.randn(16, 2, dtype=torch.float64)
    expected = network[1](torch.erf(network[0](inputs)))
    assert deviation(functional_forward(read(network, activation="erf").weights, inputs), expected) < 1e-12


@pytest.mark.parametrize(
    ("convolution", "space"),
    [(nn.Conv1d(1, 3, 2), (5,)), (nn.Conv2d(1, 3, 2), (4, 3)), (nn.Conv3d(1, 3, 2), (3, 4, 2))],
)
def test_a_flatten_is_found_by_the_size_of_the_linear_layer(
    convolution: nn.Module, space: tuple[int, ...], read: Read, deviation: Deviation
) -> None:
    inputs = torch.randn(8, 1, *space, dtype=torch.float64)
    positions = torch.Size(size - 1 for size in space).numel()
    network = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(3 * positions, 4)).double()
    point = read(network).weights
    assert [layer.spatial for layer in point.architecture.layers] == [1, positions]
    assert point.architecture.tensors[2].roles[1].repeat == positions
    assert deviation(functional_forward(point, inputs), network(inputs)) < 1e-12


@pytest.mark.parametrize(("pool", "pooling"), [(None, F.adaptive_avg_pool2d), ("max", F.adaptive_max_pool2d)])
@pytest.mark.parametrize("side", [1, 2])
def test_a_pooling_makes_a_flatten_fit(
    side: int, pool: str | None, pooling: Callable[[Tensor, int], Tensor], read: Read, deviation: Deviation
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(3 * side**2, 4)).double()
    inputs = torch.randn(8, 1, 8, 8, dtype=torch.float64)
    point = read(network).weights
    architecture = chain(point.architecture.layers, activation="relu", pool=pool)
    expected = network[1](pooling(torch.relu(network[0](inputs)), side).flatten(1))
    assert deviation(functional_forward(NetworkWeights(architecture, point.tensors), inputs), expected) < 1e-12


@pytest.mark.parametrize("channels", [1, 30])
def test_without_a_number_padding_keeps_the_size(read: Read, deviation: Deviation, channels: int) -> None:
    layers = [nn.Conv2d(channels, 3, 5, padding="same"), nn.ReLU(), nn.Conv2d(3, 2, (2, 3), padding="same")]
    network = nn.Sequential(*layers).double()
    inputs = torch.randn(5, channels, 9, 7, dtype=torch.float64)
    weights = nn.Sequential(nn.Conv2d(channels, 3, 5), nn.ReLU(), nn.Conv2d(3, 2, (2, 3))).double()
    weights.load_state_dict(network.state_dict())
    found = functional_forward(read(weights).weights, inputs, padding=None)
    assert found.shape == (5, 2, 9, 7)
    # A kernel of two is padded before, here, and behind by torch.
    odd = network[:2](inputs)
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(odd, (1, 1, 1, 0)), network[2].weight, network[2].bias
    )
    assert deviation(found, expected) < 1e-12


def test_stride_and_padding_are_those_of_every_convolution(read: Read, deviation: Deviation) -> None:
    layers = [nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, stride=2, padding=1)]
    network = nn.Sequential(*layers).double()
    inputs = torch.randn(4, 1, 9, 9, dtype=torch.float64)
    found = functional_forward(read(network).weights, inputs, stride=2, padding=1)
    assert deviation(found, network(inputs)) < 1e-12


def test_positions_that_form_no_square_are_refused(read: Read) -> None:
    point = read(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(3 * 6, 4))).weights
    with pytest.raises(ValueError, match="1 reads 6 positions"):
        functional_forward(point, torch.randn(2, 1, 8, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_a_population_are_those_of_its_networks(dtype: torch.dtype, deviation: Deviation) -> None:
    layers = [Layer("a", "conv", 2, 3, (3, 2)), Layer("b", "conv", 3, 4, (3, 3)), Layer("c", "linear", 4, 5)]
    architecture = chain(layers, activation="tanh")
    generator = torch.Generator().manual_seed(0)
    tensors = {
        spec.name: torch.randn(6, *spec.shape, generator=generator, dtype=dtype).requires_grad_()
        for spec in architecture.tensors
    }
    pictures = torch.randn(7, 2, 13, 12, generator=generator, dtype=dtype, requires_grad=True)
    wanted = [*tensors.values(), pictures]
    found = population_forward(NetworkWeights(architecture, tensors), pictures, stride=2, padding=1)
    expected = []
    for own in range(6):
        hidden = pictures
        for name in "ab":
            hidden = F.conv2d(hidden, tensors[f"{name}.weight"][own], tensors[f"{name}.bias"][own], 2, 1).tanh()
        expected.append(F.linear(hidden.mean((2, 3)), tensors["c.weight"][own], tensors["c.bias"][own]))
    assert deviation(found, torch.stack(expected)) < (1e-12 if dtype is torch.float64 else 1e-5)
    ours = torch.autograd.grad(found.square().sum(), wanted)
    theirs = torch.autograd.grad(torch.stack(expected).square().sum(), wanted)
    for gradient, other in zip(ours, theirs, strict=True):
        assert deviation(gradient, other) < (1e-12 if dtype is torch.float64 else 1e-4)
