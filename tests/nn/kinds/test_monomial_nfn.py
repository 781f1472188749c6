"""Monomial-NFN: invariant in float64 and in float32, with any weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes, read_fields
from nfn_cli.nn.sized_fields import read_sized_fields
from nfn_cli.symmetry import GroupElement, act, sample_element

SIZES = MonomialNFNSizes(channels=6, invariants=5, hidden=8)
UNIT = replace(SIZES, unit_form=True)
BATCH = 4


def features_of(layout: Layout) -> list[int]:
    return [field.features for field in layout.fields]


def read(layout: Layout, point: NetworkWeights, sizes: MonomialNFNSizes = SIZES) -> list[Tensor]:
    return (read_sized_fields if sizes.unit_form else read_fields)(layout, point, dtype=torch.float64)


def element_for(point: NetworkWeights, seed: int = 1, top: float = 1e4) -> GroupElement:
    generator = torch.Generator().manual_seed(seed)
    return sample_element(point.architecture, generator, batch=(BATCH,), scale_range=(1.0, top))


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("sizes", [SIZES, UNIT], ids=["unit norms", "unit form"])
def test_the_whole_network_does_not_see_the_group(
    sizes: MonomialNFNSizes,
    small_architecture: Architecture,
    random_point,  # type: ignore[no-untyped-def]
) -> None:
    layout, point = Layout.of(small_architecture), random_point(small_architecture, BATCH)
    torch.manual_seed(0)
    network = MonomialNFN(layout, sizes).double().eval()
    before, after = (read(layout, shown, sizes) for shown in (point, act(element_for(point), point)))
    assert_equal([network.invariants(after)], [network.invariants(before)])
    assert_equal([network(after)], [network(before)])
    # It does see what is not a symmetry.
    other = NetworkWeights(
        small_architecture, {name: tensor.roll(1, -1) + 0.1 for name, tensor in point.tensors.items()}
    )
    assert not torch.allclose(network(read(layout, other, sizes)), network(before), rtol=1e-6)


def test_the_unit_form_tells_networks_apart_that_unit_norms_do_not(small_cnn) -> None:  # type: ignore[no-untyped-def]
    architecture = small_cnn("relu", 4)
    generator = torch.Generator().manual_seed(0)
    point = NetworkWeights(
        architecture, {spec.name: torch.randn(1, *spec.shape, generator=generator) for spec in architecture.tensors}
    )
    # A kernel that matters little to its neuron: no scaling makes it so.
    kernels = point.tensors["conv2.weight"].clone()
    kernels[:, 0, 0] *= 0.01
    weak = NetworkWeights(architecture, {**point.tensors, "conv2.weight": kernels})
    layout = Layout.of(architecture)
    torch.manual_seed(0)
    for sizes in (SIZES, UNIT):
        network = MonomialNFN(layout, sizes).double().eval()
        change = (network.invariants(read(layout, weak, sizes)) - network.invariants(read(layout, point, sizes))).abs()
        assert change.max() > 1e-3 if sizes.unit_form else change.max() < 1e-6


def test_configurations_without_the_unit_form_mean_unit_norms() -> None:
    old = {"channels": 32, "equivariant_layers": 2, "invariants": 32, "hidden": 128, "dropout": 0.1}
    assert not MonomialNFNSizes(**old).unit_form  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unit_form is 1, not true or false"):
        MonomialNFNSizes(unit_form=1)  # type: ignore[arg-type]


def test_statistics_are_those_of_the_fields(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, BATCH)
    *fields, statistics = read(layout, point, UNIT)
    first = torch.linalg.vector_norm(fields[0], dim=-1).flatten(1)
    expected = torch.cat(
        [
            first.mean(1, keepdim=True),
            (first.var(1, correction=0, keepdim=True) + 1e-20).log(),
            torch.quantile(first, torch.tensor([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1], dtype=torch.float64), dim=1).T,
        ],
        dim=1,
    )
    assert_equal([statistics[:, :9]], [expected.sign() * expected.abs().log1p()])


def test_each_invariant_is_standardised_by_the_population(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, 40)
    torch.manual_seed(0)
    network = MonomialNFN(layout, UNIT).double().eval()
    inputs = read(layout, point, UNIT)
    network.fit_normalisation(inputs)
    standard = network.readout[0](network.invariants(inputs))
    varied = network.invariants(inputs).std(0) > 1e-2
    assert standard.abs().max() <= 4
    assert standard[:, varied].std(0).sub(1).abs().max() < 0.3


def test_a_sign_flip_of_relu_neurons_is_seen(random_point) -> None:  # type: ignore[no-untyped-def]
    architecture = chain([Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 2)], activation="relu")
    layout, point = Layout.of(architecture), random_point(architecture, BATCH)
    torch.manual_seed(0)
    network = MonomialNFN(layout, SIZES).double().eval()
    flip = GroupElement((torch.arange(3),), (torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64),))
    assert not torch.allclose(network(read(layout, act(flip, point))), network(read(layout, point)), rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@settings(max_examples=25, deadline=None)
@given(exponent=st.integers(-30, 30), seed=st.integers(0, 100))
def test_invariance_in_float32_withstands_any_scale(activation: str, exponent: int, seed: int) -> None:
    architecture = chain(
        [Layer("a", "conv", 1, 5, (3, 3)), Layer("b", "conv", 5, 4, (3, 3)), Layer("c", "linear", 4, 3)],
        activation=activation,
    )
    generator = torch.Generator().manual_seed(seed)
    point = NetworkWeights(
        architecture, {spec.name: torch.randn(1, *spec.shape, generator=generator) for spec in architecture.tensors}
    )
    layout = Layout.of(architecture)
    torch.manual_seed(0)
    network = MonomialNFN(layout, SIZES).eval()
    scale = 10.0**exponent if activation == "relu" else -1.0
    diagonals = tuple(torch.full((group.size,), scale, dtype=torch.float64) for group in architecture.groups)
    identity = GroupElement.identity([group.size for group in architecture.groups])
    exact = NetworkWeights(architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    moved = act(GroupElement(identity.permutations, diagonals), exact)
    drift = (network(read_fields(layout, moved)) - network(read_fields(layout, point))).abs()
    assert drift.isfinite().all()
    assert drift.max() < 1e-5


@pytest.mark.parametrize("unit_form", [False, True])
@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-45, 3e38], ids=str)
def test_zero_tiny_and_huge_weights_give_finite_logits_and_gradients(
    value: float,
    unit_form: bool,
    random_point,  # type: ignore[no-untyped-def]
    small_cnn,  # type: ignore[no-untyped-def]
) -> None:
    point = random_point(small_cnn("relu", 3), 2, dtype=torch.float32)
    for tensor in point.tensors.values():
        tensor[0] = value
    # What no group scales enters as it is, and is squared further on, in some versions of PyTorch in float32.
    last = point.tensors[point.architecture.tensors[-1].name]
    last.clamp_(max=1e18)
    layout = Layout.of(point.architecture)
    torch.manual_seed(0)
    network = MonomialNFN(layout, UNIT if unit_form else SIZES)
    logits = network(network.encode(point))
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_standardising_does_not_break_invariance(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, BATCH)
    torch.manual_seed(0)
    network = MonomialNFN(layout, SIZES).double().eval()
    plain = network(read(layout, point))
    network.standardise.fit(read(layout, random_point(small_architecture, 30, seed=5)))
    fitted = network(read(layout, point))
    assert not torch.allclose(fitted, plain, rtol=1e-3)
    assert_equal([network(read(layout, act(element_for(point), point)))], [fitted])
