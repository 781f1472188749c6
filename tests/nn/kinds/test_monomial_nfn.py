"""Monomial-NFN: invariant in float64 and in float32, with any weights."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes, read_fields
from nfn_cli.symmetry import GroupElement, act, sample_element

SIZES = MonomialNFNSizes(channels=6, invariants=5, hidden=8)
BATCH = 4


def features_of(layout: Layout) -> list[int]:
    return [field.features for field in layout.fields]


def read(layout: Layout, point: NetworkWeights) -> list[Tensor]:
    return read_fields(layout, point, dtype=torch.float64)


def element_for(point: NetworkWeights, seed: int = 1, top: float = 1e4) -> GroupElement:
    generator = torch.Generator().manual_seed(seed)
    return sample_element(point.architecture, generator, batch=(BATCH,), scale_range=(1.0, top))


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def test_the_whole_network_does_not_see_the_group(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, BATCH)
    torch.manual_seed(0)
    network = MonomialNFN(layout, SIZES).double().eval()
    before, after = read(layout, point), read(layout, act(element_for(point), point))
    assert_equal([network.invariants(after)], [network.invariants(before)])
    assert_equal([network(after)], [network(before)])
    # It does see what is not a symmetry.
    other = NetworkWeights(
        small_architecture, {name: tensor.roll(1, -1) + 0.1 for name, tensor in point.tensors.items()}
    )
    assert not torch.allclose(network(read(layout, other)), network(before), rtol=1e-6)


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


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-45, 3e38], ids=str)
def test_zero_tiny_and_huge_weights_give_finite_logits_and_gradients(value: float, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    point = random_point(small_cnn("relu", 3), 2, dtype=torch.float32)
    for tensor in point.tensors.values():
        tensor[0] = value
    # What no group scales enters as it is, and is squared further on, in some versions of PyTorch in float32.
    last = point.tensors[point.architecture.tensors[-1].name]
    last.clamp_(max=1e18)
    layout = Layout.of(point.architecture)
    torch.manual_seed(0)
    network = MonomialNFN(layout, SIZES)
    logits = network(read_fields(layout, point))
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
