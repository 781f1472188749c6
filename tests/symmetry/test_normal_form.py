"""The normal form: the same function, the same for a whole orbit, and itself when it is normal already."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, functional_forward
from nfn_cli.symmetry import NormalFormSettings, act, normal_form, sample_element

MakeNetwork = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]

CHAINS = ["mlp", "cnn", "unbiased"]
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sin", "identity", "gelu"]
SCALES = ["unit", "balanced", "none"]


def outputs(point: NetworkWeights) -> Tensor:
    first = point.architecture.layers[0]
    shape = (8, first.in_features, *[5] * len(first.kernel))
    return functional_forward(
        point, torch.randn(shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    )


def moved(point: NetworkWeights, seed: int = 1) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    return act(sample_element(point.architecture, generator, scale_range=(1e-4, 1e4), phase=True), point)


def normal(point: NetworkWeights, settings: NormalFormSettings) -> NetworkWeights:
    return act(normal_form(point, settings).element, point)


def deviation(found: NetworkWeights, expected: NetworkWeights) -> float:
    """Largest difference, relative to each tensor's largest entry."""
    return max(
        ((found.tensors[name] - tensor).abs().max() / tensor.abs().max().clamp_min(1e-300)).item()
        for name, tensor in expected.tensors.items()
    )


@pytest.fixture(params=[(layers, activation) for layers in CHAINS for activation in ACTIVATIONS], ids="-".join)
def point(request: pytest.FixtureRequest, network: MakeNetwork) -> NetworkWeights:
    layers, activation = request.param
    return network(layers, activation)


@pytest.mark.parametrize("scale", SCALES)
def test_the_function_stays(point: NetworkWeights, scale: str) -> None:
    before = outputs(point)
    after = outputs(normal(point, NormalFormSettings(scale)))  # type: ignore[arg-type]
    assert ((after - before).abs().max() / before.abs().max()).item() < 1e-12


@pytest.mark.parametrize("scale", ["unit", "balanced"])
def test_a_whole_orbit_has_one_normal_form(point: NetworkWeights, scale: str) -> None:
    settings = NormalFormSettings(scale)  # type: ignore[arg-type]
    expected = normal(point, settings)
    for seed in range(3):
        assert deviation(normal(moved(point, seed), settings), expected) < 1e-11


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_normal_stays_bit_for_bit(point: NetworkWeights, scale: str) -> None:
    settings = NormalFormSettings(scale)  # type: ignore[arg-type]
    once = normal(moved(point), settings)
    twice = normal(once, settings)
    assert all(torch.equal(twice.tensors[name], tensor) for name, tensor in once.tensors.items())


def test_unit_scale_gives_incoming_weights_and_bias_norm_one(network: MakeNetwork) -> None:
    found = normal(network("mlp", "relu"), NormalFormSettings("unit")).tensors
    for layer in "ab":
        rows = torch.cat([found[f"{layer}.weight"], found[f"{layer}.bias"][:, None]], dim=1)
        assert torch.allclose(rows.norm(dim=1), torch.ones(len(rows), dtype=torch.float64), atol=1e-14)


def test_balanced_scale_has_equal_norms_and_the_least_sum_of_squares(network: MakeNetwork) -> None:
    point = network("cnn", "relu")
    form = normal_form(point, NormalFormSettings("balanced"))
    assert form.residual < 1e-12
    balanced = act(form.element, point)

    def total(some: NetworkWeights) -> float:
        return sum(tensor.square().sum().item() for tensor in some.tensors.values())

    incoming = torch.cat([balanced.tensors["b.weight"].flatten(1), balanced.tensors["b.bias"][:, None]], dim=1)
    outgoing = balanced.tensors["c.weight"].unflatten(1, (5, 4)).movedim(1, 0).flatten(1)
    assert torch.allclose(incoming.norm(dim=1), outgoing.norm(dim=1), rtol=1e-11)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        near = sample_element(point.architecture, generator, scale_range=(0.9, 1.1))
        assert total(act(near, balanced)) > total(balanced)


def test_signs_make_the_largest_incoming_weight_positive(network: MakeNetwork) -> None:
    found = normal(network("mlp", "tanh"), NormalFormSettings()).tensors
    for layer in "ab":
        weight = found[f"{layer}.weight"]
        assert (weight.gather(1, weight.abs().argmax(1, keepdim=True)) > 0).all()


def test_phases_lie_in_their_interval(network: MakeNetwork) -> None:
    point = network("mlp", "sin")
    found = normal(moved(point), NormalFormSettings())
    for layer in "ab":
        angle = 3.0 * found.tensors[f"{layer}.bias"]
        assert (angle > -math.pi / 2).all() and (angle <= math.pi / 2 + 1e-12).all()


def test_a_sine_behind_max_pooling_keeps_its_sign_and_loses_whole_turns(network: MakeNetwork) -> None:
    point = network("cnn", "sin", pool="max")
    form = normal_form(moved(point), NormalFormSettings())
    assert all((diagonal == 1).all() for diagonal in form.element.diagonals)
    assert all((half_turns % 2 == 0).all() for half_turns in form.element.half_turns)
    assert any(half_turns.any() for half_turns in form.element.half_turns)


def test_neurons_ascend_by_their_first_weight(network: MakeNetwork) -> None:
    weight = normal(network("mlp", "gelu"), NormalFormSettings()).tensors["a.weight"]
    assert (weight[1:, 0] > weight[:-1, 0]).all()


@pytest.mark.parametrize("switch", ["scale", "sign", "permute"])
def test_each_part_can_be_left_alone(switch: str, network: MakeNetwork) -> None:
    point = network("mlp", "identity")
    settings = {"scale": NormalFormSettings(scale="none"), "sign": NormalFormSettings(sign=False)}
    element = normal_form(point, settings.get(switch, NormalFormSettings(permute=False))).element
    sizes = [diagonal.abs() for diagonal in element.diagonals]
    assert all((size == 1).all() for size in sizes) is (switch == "scale")
    assert all((diagonal > 0).all() for diagonal in element.diagonals) is (switch == "sign")
    orders = [torch.equal(order, torch.arange(len(order))) for order in element.permutations]
    assert all(orders) is (switch == "permute")


@pytest.mark.parametrize("scale", ["unit", "balanced"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
def test_dead_neurons_do_no_harm_and_are_named(
    activation: str, scale: str, network: MakeNetwork, changed: Change, silence: Callable[[dict[str, Tensor]], None]
) -> None:
    point = changed(network("mlp", activation), silence)
    settings = NormalFormSettings(scale)  # type: ignore[arg-type]
    form = normal_form(point, settings)
    expected = act(form.element, point)
    assert all(tensor.isfinite().all() for tensor in expected.tensors.values())
    assert [len(places) for places in form.dead] == [2, 2]
    assert (expected.tensors["a.weight"][form.dead[0]] == 0).all()
    for seed in range(5):
        assert deviation(normal(moved(point, seed), settings), expected) < 1e-11


def test_a_network_of_zeros_is_its_own_normal_form(network: MakeNetwork, changed: Change) -> None:
    point = changed(network("mlp", "relu"), lambda tensors: [tensor.zero_() for tensor in tensors.values()])
    for scale in ("unit", "balanced"):
        found = normal(point, NormalFormSettings(scale))  # type: ignore[arg-type]
        assert all((tensor == 0).all() for tensor in found.tensors.values())


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_duplicates_are_named_and_ordered_by_what_reads_them(
    activation: str, network: MakeNetwork, changed: Change
) -> None:
    def double(tensors: dict[str, Tensor]) -> None:
        tensors["a.weight"][5] = tensors["a.weight"][1]
        tensors["a.bias"][5] = tensors["a.bias"][1]

    point = changed(network("mlp", activation), double)
    form = normal_form(point)
    assert [[len(places) for places in group] for group in form.duplicates] == [[2], []]
    expected = act(form.element, point)
    first, second = form.duplicates[0][0].tolist()
    assert torch.allclose(expected.tensors["a.weight"][first], expected.tensors["a.weight"][second])
    for seed in range(4):
        assert deviation(normal(moved(point, seed), NormalFormSettings()), expected) < 1e-11


@pytest.mark.parametrize("factor", [1e-300, 1e-45, 1e38, 1e60], ids=str)
def test_extreme_numbers_stay_finite(factor: float, network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    extreme = NetworkWeights(point.architecture, {name: tensor * factor for name, tensor in point.tensors.items()})
    for scale in ("unit", "balanced"):
        found = normal(extreme, NormalFormSettings(scale))  # type: ignore[arg-type]
        assert all(tensor.isfinite().all() for tensor in found.tensors.values())


def test_computation_is_float64_and_the_dtype_stays(network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    single = NetworkWeights(point.architecture, {name: tensor.float() for name, tensor in point.tensors.items()})
    found = normal(moved(single), NormalFormSettings())
    assert {tensor.dtype for tensor in found.tensors.values()} == {torch.float32}
    assert (
        deviation(
            NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in found.tensors.items()}),
            normal(point, NormalFormSettings()),
        )
        < 1e-6
    )
