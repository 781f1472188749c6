"""Signatures are constant along an orbit, continuous in the weights, and tell networks apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_of_tests import loaded
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.symmetry import act, sample_element
from nfn_cli.symmetry.kinship.signature import Signature, signature_of_chains

MakeNetwork = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]
stages = loaded("symmetry/test_stages.py")

CHAINS = ["mlp", "cnn", "unbiased"]
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sin", "identity", "gelu"]


def moved(point: NetworkWeights, seed: int) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    return act(sample_element(point.architecture, generator, scale_range=(1e-4, 1e4), phase=True), point)


def all_numbers(signature: Signature) -> list[float]:
    return [*signature.values, signature.size, signature.tails]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CHAINS), st.sampled_from(ACTIVATIONS), st.integers(0, 2**20), st.integers(0, 2**20))
def test_it_is_constant_along_the_orbit(
    network: MakeNetwork, layers: str, activation: str, seed: int, element: int
) -> None:
    point = network(layers, activation, seed)
    own = signature_of_chains(point)
    assert all_numbers(signature_of_chains(moved(point, element))) == pytest.approx(all_numbers(own), abs=1e-9)
    assert all(map(math.isfinite, all_numbers(own)))


@pytest.mark.parametrize("kind", list(stages.KINDS))
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_is_constant_with_stages_between_layers(kind: str, activation: str) -> None:
    architecture = stages.staged(kind, activation)
    point = stages.point_of(architecture)
    other = act(stages.drawn(architecture), point)
    assert all_numbers(signature_of_chains(other)) == pytest.approx(all_numbers(signature_of_chains(point)), abs=1e-9)
    different = signature_of_chains(stages.point_of(architecture, seed=1))
    assert different.distance(signature_of_chains(point)) > 0.01


def test_it_is_constant_for_several_chains() -> None:
    architecture = stages.two_chains()
    point = stages.point_of(architecture)
    other = act(stages.drawn(architecture), point)
    assert all_numbers(signature_of_chains(other)) == pytest.approx(all_numbers(signature_of_chains(point)), abs=1e-9)


def test_it_is_constant_where_neurons_are_dead(network: MakeNetwork, changed: Change) -> None:
    def kill(tensors: dict[str, Tensor]) -> None:
        tensors["b.weight"][[1, 3]] = 0
        tensors["b.bias"][1] = 0

    point = changed(network("mlp", "relu"), kill)
    own = signature_of_chains(point)
    assert signature_of_chains(moved(point, 1)).distance(own) < 1e-9


@pytest.mark.parametrize("layers", CHAINS)
@pytest.mark.parametrize("activation", ["relu", "sin"])
def test_independent_networks_differ(network: MakeNetwork, layers: str, activation: str) -> None:
    found = [signature_of_chains(network(layers, activation, seed)) for seed in range(12)]
    apart = min(one.distance(other) for place, one in enumerate(found) for other in found[:place])
    assert apart > 1e-2


def test_each_tensor_counts(network: MakeNetwork, changed: Change) -> None:
    point = network("cnn", "relu")
    own = signature_of_chains(point)
    for name in point.tensors:

        def grow(tensors: dict[str, Tensor], name: str = name) -> None:
            tensors[name].reshape(-1)[0] += 0.5

        assert signature_of_chains(changed(point, grow)).distance(own) > 1e-5, name


def test_a_small_change_of_the_weights_changes_it_a_little(network: MakeNetwork, changed: Change) -> None:
    point = network("cnn", "relu")
    own, last = signature_of_chains(point), math.inf
    for size in (1e-2, 1e-4, 1e-6):

        def disturb(tensors: dict[str, Tensor], size: float = size) -> None:
            for tensor in tensors.values():
                tensor += size * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(5))

        distance = signature_of_chains(changed(point, disturb)).distance(own)
        assert 0 < distance < min(last, 10 * size)
        last = distance


def test_networks_of_two_architectures_are_infinitely_far(network: MakeNetwork) -> None:
    one, other = (signature_of_chains(network("mlp", activation)) for activation in ("relu", "tanh"))
    assert one.distance(other) == math.inf
    assert one.distance(one) == 0


def test_tails_and_size_of_known_weights() -> None:
    architecture = chain([Layer("a", "linear", 4, 5), Layer("b", "linear", 5, 2)], activation="relu")
    constant = {spec.name: torch.full(spec.shape, 3.0) for spec in architecture.tensors}
    found = signature_of_chains(NetworkWeights(architecture, constant))
    assert found.tails == pytest.approx(0, abs=1e-12)  # of a constant, the moments are the powers
    assert found.size == pytest.approx(math.log(40 * 9**2) / 2)  # 40 paths, of products 3 · 3
    generator = torch.Generator().manual_seed(0)
    wide = chain([Layer("a", "linear", 300, 400), Layer("b", "linear", 400, 300)], activation="relu")
    normal = {spec.name: torch.randn(spec.shape, generator=generator) for spec in wide.tensors}
    tails = signature_of_chains(NetworkWeights(wide, normal)).tails
    assert tails == pytest.approx(2 * math.log(2 * math.sqrt(2 / math.pi)), rel=0.02)  # E|w|³ of a normal, twice


def test_huge_and_tiny_weights_are_no_trouble(network: MakeNetwork, changed: Change) -> None:
    point = network("cnn", "gelu")

    def stretch(tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            tensor *= 1e100

    def shrink(tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            tensor *= 1e-100

    for change in (stretch, shrink):
        assert all(map(math.isfinite, all_numbers(signature_of_chains(changed(point, change)))))


def test_the_short_form() -> None:
    shown = str(Signature("b46a0d41d8a1c3f5b46a0d41d8a1c3f5", (12.345678, 1.0, 2.0, 4.0, -3.25), 1.0, 0.5))
    assert shown == "b46a0d41d8a1c3f5 12.3457 -3.2500"
