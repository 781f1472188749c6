"""Sampled elements obey their kind, their range and their switches, and come from the seed alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfn_cli.architectures import FUNCTIONS, Architecture, Layer, chain
from nfn_cli.symmetry import DiagonalKind, GroupElement, diagonal_kind, sample_element

MakeArchitecture = Callable[..., Architecture]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wide(activation: str, pool: str | None = None) -> Architecture:
    """One group of 200 neurons: enough to see both signs and all of the range."""
    layers = [Layer("0", "linear", 2, 200), Layer("1", "linear", 200, 2)]
    return chain(layers, activation=activation, pool=pool)


OBEYS: dict[DiagonalKind, Callable[[Tensor], bool]] = {
    DiagonalKind.POSITIVE: lambda d: bool((d > 0).all() and (d != 1).any()),
    DiagonalKind.SIGN: lambda d: bool((d.abs() == 1).all() and (d < 0).any() and (d > 0).any()),
    DiagonalKind.NONZERO: lambda d: bool((d != 0).all() and (d < 0).any() and (d > 0).any() and (d.abs() != 1).any()),
    DiagonalKind.TRIVIAL: lambda d: bool((d == 1).all()),
}


@pytest.mark.parametrize("pool", [None, "avg", "max"])
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_diagonals_are_of_the_activations_kind(activation: str, pool: str | None) -> None:
    (diagonal,) = sample_element(wide(activation, pool), seeded()).diagonals
    assert diagonal.dtype == torch.float64
    assert OBEYS[diagonal_kind(activation, pool)](diagonal)


def test_the_kinds_are_told_apart_by_this_test() -> None:
    kinds = {activation: diagonal_kind(activation) for activation in ("relu", "tanh", "identity", "gelu")}
    for activation, kind in kinds.items():
        (diagonal,) = sample_element(wide(activation), seeded()).diagonals
        assert [other for other in DiagonalKind if OBEYS[other](diagonal)] == [kind]


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-4, 1e4), st.floats(1, 1e4), st.integers(0, 2**31))
def test_scales_stay_within_the_range(low: float, ratio: float, seed: int) -> None:
    for activation in ("relu", "identity"):
        (diagonal,) = sample_element(wide(activation), seeded(seed), scale_range=(low, low * ratio)).diagonals
        assert bool(((diagonal.abs() >= low) & (diagonal.abs() <= low * ratio)).all())


def test_scales_are_uniform_in_their_logarithm() -> None:
    (diagonal,) = sample_element(wide("relu"), seeded(), batch=(50,), scale_range=(1.0, 1e4)).diagonals
    # Ten thousand draws; each quarter of the decades holds 2,500 with a deviation of 43.
    counts = diagonal.log10().flatten().histc(4, 0, 4)
    assert bool(((counts - 2500).abs() < 250).all())


def test_signs_are_fair() -> None:
    (diagonal,) = sample_element(wide("tanh"), seeded(), batch=(50,)).diagonals
    assert abs(diagonal.mean().item()) < 0.05


def test_permutations_are_uniform() -> None:
    small = chain([Layer("0", "linear", 1, 3), Layer("1", "linear", 3, 1)], activation="gelu")
    (orders,) = sample_element(small, seeded(), batch=(6000,)).permutations
    _, counts = orders.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert bool(((counts - 1000).abs() < 150).all())


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity", "gelu"])
@pytest.mark.parametrize("name", ["mlp", "conv2d"])
def test_every_group_gets_a_permutation_and_a_diagonal_of_its_size(
    name: str, activation: str, architecture_of: MakeArchitecture
) -> None:
    architecture = architecture_of(name, activation)
    for batch in ((), (3,), (2, 3)):
        g = sample_element(architecture, seeded(), batch=batch)
        for group, order, diagonal in zip(architecture.groups, g.permutations, g.diagonals, strict=True):
            assert order.shape == diagonal.shape == (*batch, group.size)
            assert torch.equal(order.sort(-1).values, torch.arange(group.size).expand(order.shape))


def test_members_of_a_batch_are_independent() -> None:
    g = sample_element(wide("identity"), seeded(), batch=(2,))
    assert not torch.equal(g.permutations[0][0], g.permutations[0][1])
    assert not torch.equal(g.diagonals[0][0], g.diagonals[0][1])


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity", "gelu"])
def test_a_part_that_is_switched_off_does_nothing(activation: str) -> None:
    def sample(**switches: bool) -> GroupElement:
        return sample_element(wide(activation), seeded(), **switches)  # type: ignore[arg-type]

    assert torch.equal(sample(permute=False).permutations[0], torch.arange(200))
    assert bool((sample(scale=False).diagonals[0].abs() == 1).all())
    assert bool((sample(flip=False).diagonals[0] > 0).all())
    assert bool((sample(scale=False, flip=False).diagonals[0] == 1).all())
    # The switches do not reach over to the other parts.
    assert torch.equal(sample(scale=False, flip=False).permutations[0], sample().permutations[0])
    assert torch.equal(sample(permute=False).diagonals[0], sample().diagonals[0])


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_a_seed_gives_the_same_element_and_another_seed_another(activation: str) -> None:
    def sample(seed: int) -> GroupElement:
        return sample_element(wide(activation), seeded(seed), batch=(2,))

    one, again, other = sample(1), sample(1), sample(2)
    assert torch.equal(one.permutations[0], again.permutations[0])
    assert torch.equal(one.diagonals[0], again.diagonals[0])
    assert not torch.equal(one.permutations[0], other.permutations[0])
    assert not torch.equal(one.diagonals[0], other.diagonals[0])


def test_a_generator_goes_on() -> None:
    generator = seeded()
    one, other = (sample_element(wide("relu"), generator).diagonals[0] for _ in range(2))
    assert not torch.equal(one, other)


def test_a_network_without_hidden_neurons_has_the_trivial_group() -> None:
    g = sample_element(chain([Layer("0", "linear", 2, 3)], activation="relu"), seeded())
    assert (g.permutations, g.diagonals) == ((), ())
