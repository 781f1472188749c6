"""An element of the right kind leaves the network's function as it is; one of a wrong kind does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.symmetry import GroupElement, act, sample_element

MakeArchitecture = Callable[..., Architecture]
RandomPoint = Callable[..., NetworkWeights]
Outputs = Callable[[NetworkWeights], Tensor]
Deviation = Callable[[Tensor, Tensor], float]

NAMES = ["mlp", "conv1d", "conv2d", "conv3d", "global pooling", "convolutions"]
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sin", "softsign", "erf", "identity", "gelu"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_sampled_elements_preserve_the_function(
    name: str,
    activation: str,
    dtype: torch.dtype,
    most: float,
    architecture_of: MakeArchitecture,
    random_point: RandomPoint,
    outputs: Outputs,
    deviation: Deviation,
) -> None:
    point = random_point(architecture_of(name, activation), dtype=dtype)
    for seed in range(3):
        moved = act(sample_element(point.architecture, seeded(seed), scale_range=(1e-4, 1e4)), point)
        first = point.architecture.tensors[0].name
        assert not torch.equal(moved.tensors[first], point.tensors[first])
        assert deviation(outputs(moved), outputs(point)) <= most


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_elements_preserves_each_network(
    name: str,
    activation: str,
    architecture_of: MakeArchitecture,
    random_point: RandomPoint,
    outputs: Outputs,
    deviation: Deviation,
) -> None:
    architecture = architecture_of(name, activation)
    point = random_point(architecture, 4)
    moved = act(sample_element(architecture, seeded(0), batch=(4,)), point)
    for found, expected in zip(outputs(moved), outputs(point), strict=True):
        assert deviation(found, expected) <= 1e-12


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_sampled_for_a_pooling_passes_through_it(
    activation: str,
    pool: str,
    architecture_of: MakeArchitecture,
    random_point: RandomPoint,
    outputs: Outputs,
    deviation: Deviation,
) -> None:
    point = random_point(architecture_of("global pooling", activation, pool=pool))
    moved = act(sample_element(point.architecture, seeded(0)), point)
    assert deviation(outputs(moved), outputs(point)) <= 1e-12


WRONG = {
    "relu": -1.0,
    "leaky_relu": -1.0,
    "tanh": 2.0,
    "sin": 2.0,
    "softsign": 2.0,
    "erf": 2.0,
    "gelu": -1.0,
    "silu": 2.0,
    "sigmoid": -1.0,
}


@pytest.mark.parametrize("activation", WRONG)
@pytest.mark.parametrize("name", NAMES)
def test_one_diagonal_entry_of_a_wrong_kind_changes_the_function(
    name: str,
    activation: str,
    architecture_of: MakeArchitecture,
    random_point: RandomPoint,
    outputs: Outputs,
    deviation: Deviation,
) -> None:
    point = random_point(architecture_of(name, activation))
    identity = GroupElement.identity([group.size for group in point.architecture.groups])
    diagonals = tuple(diagonal.clone() for diagonal in identity.diagonals)
    diagonals[-1][0] = WRONG[activation]
    moved = act(GroupElement(identity.permutations, diagonals), point)
    assert deviation(outputs(moved), outputs(point)) > 1e-3


def test_a_sign_changes_what_passes_a_max_pooling(
    architecture_of: MakeArchitecture, random_point: RandomPoint, outputs: Outputs, deviation: Deviation
) -> None:
    plain = architecture_of("global pooling", "tanh")
    pooled = architecture_of("global pooling", "tanh", pool="max")
    flip = sample_element(plain, seeded(0))  # for tanh by itself, or under an average
    tensors = random_point(plain).tensors
    for architecture, preserved in ((plain, True), (pooled, False)):
        point = NetworkWeights(architecture, tensors)
        assert (deviation(outputs(act(flip, point)), outputs(point)) <= 1e-12) is preserved


def test_a_permutation_that_readers_do_not_follow_changes_the_function(
    architecture_of: MakeArchitecture, random_point: RandomPoint, outputs: Outputs, deviation: Deviation
) -> None:
    point = random_point(architecture_of("conv2d", "gelu"))
    moved = act(sample_element(point.architecture, seeded(0)), point)
    half_moved = NetworkWeights(point.architecture, {**moved.tensors, "b.weight": point.tensors["b.weight"]})
    assert deviation(outputs(half_moved), outputs(point)) > 1e-3
