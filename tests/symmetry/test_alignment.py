"""Alignment: the element that moved a network is found again, and what no element explains is told."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.symmetry import Alignment, GroupElement, act, align, sample_element

MakeNetwork = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]

CHAINS = ["mlp", "cnn", "unbiased"]
ACTIVATIONS = ["relu", "tanh", "sin", "identity", "gelu"]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
SCALES_TO = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def element_for(point: NetworkWeights, seed: int = 1, scales: tuple[float, float] = (0.1, 10.0)) -> GroupElement:
    return sample_element(point.architecture, torch.Generator().manual_seed(seed), scale_range=scales, phase=True)


def assert_equal(found: GroupElement, expected: GroupElement, to: float) -> None:
    for mine, other in zip(found.permutations, expected.permutations, strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(found.half_turns, expected.half_turns, strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(found.diagonals, expected.diagonals, strict=True):
        assert torch.equal(mine.sign(), other.sign())
        assert ((mine - other).abs() / other.abs()).max() <= to


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", CHAINS)
def test_the_element_is_recovered(layers: str, activation: str, dtype: torch.dtype, network: MakeNetwork) -> None:
    point = network(layers, activation, dtype=dtype)
    for seed in range(3):
        element = element_for(point, seed)
        found = align(point, act(element, point))
        assert found.same_orbit
        assert_equal(found.element, element, SCALES_TO[dtype])
        if activation in ("tanh", "sin", "gelu"):
            assert all((diagonal.abs() == 1).all() for diagonal in found.element.diagonals)


def test_max_pooling_leaves_whole_turns(network: MakeNetwork) -> None:
    point = network("cnn", "sin", pool="max")
    element = element_for(point)
    assert any(half_turns.any() for half_turns in element.half_turns)
    assert_equal(align(point, act(element, point)).element, element, 0)


@pytest.mark.parametrize("factor", [1e-200, 1e-45, 1e38, 1e200], ids=str)
def test_extreme_numbers_do_no_harm(factor: float, network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    point = NetworkWeights(point.architecture, {name: tensor * factor for name, tensor in point.tensors.items()})
    element = element_for(point)
    found = align(point, act(element, point))
    assert found.same_orbit
    assert_equal(found.element, element, 1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", ["mlp", "cnn"])
def test_one_weight_changed_by_a_hundredth_is_told(
    layers: str, activation: str, network: MakeNetwork, changed: Change
) -> None:
    point = network(layers, activation, dtype=torch.float32)
    moved = act(element_for(point), point)
    for name in moved.tensors:
        for place in (0, -1):

            def change(tensors: dict[str, Tensor], name: str = name, place: int = place) -> None:
                tensors[name].view(-1)[place] *= 1.01

            found = align(point, changed(moved, change))
            assert not found.same_orbit, (name, place, found.deviation)


def test_other_networks_are_on_other_orbits(network: MakeNetwork) -> None:
    assert not align(network("mlp", "relu"), network("mlp", "relu", seed=5)).same_orbit


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_a_network_of_zeros_is_on_its_own_orbit(activation: str, network: MakeNetwork, changed: Change) -> None:
    zeros = changed(network("mlp", activation), lambda tensors: [t.zero_() for t in tensors.values()])
    assert align(zeros, zeros).same_orbit
    assert not align(zeros, network("mlp", activation)).same_orbit
    assert not align(network("mlp", activation), zeros).same_orbit


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dead_neurons_do_no_harm(
    activation: str,
    dtype: torch.dtype,
    network: MakeNetwork,
    changed: Change,
    silence: Callable[[dict[str, Tensor]], None],
) -> None:
    point = changed(network("mlp", activation, dtype=dtype), silence)
    for seed in range(4):
        element = element_for(point, seed)
        found = align(point, act(element, point))
        assert found.same_orbit, found.deviation
        # On a neuron that is always zero, every factor is one; the weights tell which one it was.
        assert torch.equal(found.element.permutations[0], element.permutations[0])


def detach(tensors: dict[str, Tensor]) -> None:
    """To neurons without input, add some that read those alone and that nothing reads: no output depends on them."""
    tensors["b.weight"][0] = 0
    tensors["b.bias"][0] = 0
    tensors["b.weight"][0, 5] = 0.7
    tensors["c.weight"][:, 0] = 0
    tensors["c.weight"][:, 4] = 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "identity"])
def test_neurons_that_no_output_depends_on_are_compared_too(
    activation: str, network: MakeNetwork, changed: Change, silence: Callable[[dict[str, Tensor]], None]
) -> None:
    point = changed(changed(network("mlp", activation), silence), detach)
    for seed in range(4):
        moved = act(element_for(point, seed), point)
        assert align(point, moved).same_orbit
        place = (moved.tensors["b.weight"] == 0).sum(1).argmax()

        def change(tensors: dict[str, Tensor], place: Tensor = place) -> None:
            tensors["b.weight"][place, (tensors["b.weight"][place] == 0).int().argmax()] = 1.0

        assert not align(point, changed(moved, change)).same_orbit


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights_that_are_one_or_minus_one_are_matched(activation: str, network: MakeNetwork) -> None:
    for seed in range(5):
        point = network("mlp", activation, seed)
        point = NetworkWeights(point.architecture, {name: tensor.sign() for name, tensor in point.tensors.items()})
        assert align(point, act(element_for(point, seed), point)).same_orbit


def double(tensors: dict[str, Tensor]) -> None:
    """Three of the first layer's neurons read the same, and two of the second's."""
    for copy in (3, 5):
        tensors["a.weight"][copy] = tensors["a.weight"][1]
        tensors["a.bias"][copy] = tensors["a.bias"][1]
    tensors["b.weight"][4] = tensors["b.weight"][0]
    tensors["b.bias"][4] = tensors["b.bias"][0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_copies_are_told_apart_by_what_reads_them(
    activation: str, dtype: torch.dtype, network: MakeNetwork, changed: Change
) -> None:
    point = changed(network("mlp", activation, dtype=dtype), double)
    for seed in range(4):
        element = element_for(point, seed)
        found = align(point, act(element, point))
        assert found.same_orbit, found.deviation
        assert_equal(found.element, element, SCALES_TO[dtype])


def test_rows_of_one_entry_are_copies_of_one_another(network: MakeNetwork) -> None:
    layers = [Layer("a", "linear", 1, 40, has_bias=False), Layer("b", "linear", 40, 30), Layer("c", "linear", 30, 2)]
    point = network(layers, "relu")
    element = element_for(point)
    found = align(point, act(element, point))
    assert found.same_orbit
    assert_equal(found.element, element, 1e-10)


def test_a_fine_tuned_network_is_near_after_alignment(network: MakeNetwork) -> None:
    wide = [Layer("a", "linear", 20, 32), Layer("b", "linear", 32, 24), Layer("c", "linear", 24, 5)]
    point = network(wide, "relu", dtype=torch.float32)
    element = element_for(point)
    noise = torch.Generator().manual_seed(3)
    tuned = NetworkWeights(
        point.architecture,
        {name: t * (1 + 0.01 * torch.randn(t.shape, generator=noise)) for name, t in point.tensors.items()},
    )
    found = align(point, act(element, tuned))
    assert not found.same_orbit
    assert all(torch.equal(*pair) for pair in zip(found.element.permutations, element.permutations, strict=True))
    assert found.permuted is not None
    for alone, left in zip(found.permuted, found.residuals, strict=True):
        assert 0.002 < left.distance < 0.03
        assert alone.distance > 0.3


def test_without_scales_permutations_alone_do_as_well(network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    element = sample_element(point.architecture, torch.Generator().manual_seed(1), scale=False)
    found = align(point, act(element, point))
    assert found.permuted is not None
    assert max(left.distance for left in found.permuted) == 0


def test_names_may_differ(network: MakeNetwork) -> None:
    point = network("mlp", "tanh")
    renamed = chain(
        [Layer("xyz"[i], "linear", *sizes) for i, sizes in enumerate([(3, 7), (7, 6), (6, 2)])], activation="tanh"
    )
    moved = act(element_for(point), point)
    values = zip(renamed.tensors, moved.tensors.values(), strict=True)
    found = align(point, NetworkWeights(renamed, {spec.name: tensor for spec, tensor in values}))
    assert found.same_orbit
    assert [left.layer for left in found.residuals] == ["x", "y", "z"]


def test_the_coarser_dtype_decides(network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    moved = act(element_for(point), NetworkWeights(point.architecture, {n: t.half() for n, t in point.tensors.items()}))
    found = align(point, moved)
    assert found.same_orbit
    assert found.tolerance == 2e-3


@pytest.mark.parametrize(
    ("layers", "activation", "message"),
    [
        ("mlp", "tanh", "activation is tanh"),
        ("unbiased", "relu", "2 layers"),
        (
            [Layer("a", "linear", 3, 7), Layer("b", "linear", 7, 9), Layer("c", "linear", 9, 2)],
            "relu",
            "layer b is linear 7->9",
        ),
    ],
    ids=["activation", "layers", "width"],
)
def test_other_architectures_are_refused(
    layers: str | list[Layer], activation: str, message: str, network: MakeNetwork
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        align(network("mlp", "relu"), network(layers, activation))


class TestWithoutScipy:
    """SciPy is an extra."""

    @pytest.fixture(autouse=True)
    def no_scipy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        importing = builtins.__import__

        def refuse(name: str, *rest: Any, **more: Any) -> Any:
            if name.partition(".")[0] == "scipy":
                raise ImportError(name)
            return importing(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", refuse)

    def test_one_orbit_is_recognised(self, network: MakeNetwork, changed: Change) -> None:
        point = changed(network("mlp", "relu"), double)
        found: Alignment = align(point, act(element_for(point), point))
        assert found.same_orbit

    def test_a_pair_without_partners_asks_for_it(self, network: MakeNetwork) -> None:
        with pytest.raises(UsageError, match="match"):
            align(network("cnn", "relu"), network("cnn", "relu", seed=2))
