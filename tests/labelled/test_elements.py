"""Elements on labels: the laws of a group, and that their action is one and keeps functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_networks import NETWORKS, Network, attention, batch_norm
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor, Role, Use
from nfn_cli.symmetry.labelled import Element, act, bounded, compose, element_of, identity, inverse, sample

SEEDS = st.integers(0, 2**31)


def drawn(network: Network, seed: int) -> Element:
    element = sample(network.architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))
    return bounded(element, network.architecture, network.state)


def assert_equal(one: Element, other: Element) -> None:
    assert np.array_equal(one.goes, other.goes) and np.array_equal(one.signs, other.signs)
    assert np.allclose(one.logs, other.logs, atol=1e-12)


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-11, atol=1e-13), name


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=10, deadline=None)
@given(one=SEEDS, two=SEEDS, three=SEEDS)
def test_they_form_a_group(name: str, one: int, two: int, three: int) -> None:
    network = NETWORKS[name]()
    own = network.architecture
    f, g, h = (drawn(network, seed) for seed in (one, two, three))
    assert_equal(compose(own, compose(own, f, g), h), compose(own, f, compose(own, g, h)))
    assert_equal(compose(own, g, identity(own)), g)
    assert_equal(compose(own, identity(own), g), g)
    assert_equal(compose(own, g, inverse(own, g)), identity(own))
    assert_equal(compose(own, inverse(own, g), g), identity(own))
    assert_equal(inverse(own, compose(own, g, h)), compose(own, inverse(own, h), inverse(own, g)))


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=6, deadline=None)
@given(one=SEEDS, two=SEEDS)
def test_they_act(name: str, one: int, two: int) -> None:
    network = NETWORKS[name]()
    own = network.architecture
    h = drawn(network, one)
    moved = act(h, own, network.state)
    g = bounded(drawn(network, two), own, moved)
    assert_close(act(compose(own, g, h), own, network.state), act(g, own, moved))
    assert_close(act(inverse(own, h), own, moved), network.state)
    assert all(torch.equal(act(identity(own), own, network.state)[key], own_) for key, own_ in network.state.items())


@pytest.mark.parametrize("name", NETWORKS)
def test_functions_stay_and_weights_do_not(name: str) -> None:
    network = NETWORKS[name]()
    before = network.run(network.state)
    changed: set[str] = set()
    for seed in range(5):
        moved = act(drawn(network, seed), network.architecture, network.state)
        changed |= {key for key, own in network.state.items() if not torch.allclose(moved[key], own)}
        for old, new in zip(before, network.run(moved), strict=True):
            assert torch.allclose(old, new, rtol=1e-11, atol=1e-11)
    assert changed == set(network.state)


def test_every_arrangement_of_nested_units_comes_up() -> None:
    network = attention(heads=2, size=2, width=2)
    generator = torch.Generator().manual_seed(0)
    found = {sample(network.architecture, generator, scale=False, flip=False).goes.tobytes() for _ in range(1_500)}
    assert len(found) == 2 * 2**2 * 2**2  # Sym(2) of heads, two blocks of Sym(2) in each


def test_each_part_can_be_switched_off() -> None:
    network = attention()
    own, generator = network.architecture, torch.Generator().manual_seed(0)
    assert not sample(own, generator, scale=False).logs.any() and not sample(own, generator, flip=False).signs.any()
    alone = sample(own, generator, permute=False)
    assert np.array_equal(alone.goes, np.arange(own.label_count)) and alone.logs.any() and alone.signs.any()
    assert sample(own, generator, scale=False, flip=False).is_permutation


def test_free_scales_are_uniform_in_the_range_by_their_logarithms() -> None:
    own = attention(heads=20, size=20).architecture
    logs = sample(own, torch.Generator().manual_seed(1), scale_range=(0.5, 8.0)).logs[:800]
    assert -1 <= logs.min() < -0.9 and 2.9 < logs.max() <= 3 and abs(logs.mean() - 1) < 0.15


def test_scales_that_a_permutation_would_tear_apart_are_refused() -> None:
    # Two neurons share a variable in one tensor and not in the other: moving one moves the variable to two.
    one, other = np.array([0, 1, 2], dtype=np.int32), np.array([0, 0, 1], dtype=np.int32)
    own = batch_norm().architecture
    use = Use((3,), (1,), 0, (Role(one),), ((1, other),))
    torn = replace(own, tensors=(LabelledTensor(("x",), (3,), (use,)),), label_count=3, scale_count=2)
    swap = Element(np.array([0, 2, 1], dtype=np.int32), np.zeros(2), np.zeros(2, dtype=np.bool_))
    with pytest.raises(ValueError, match="'x': a permutation does not keep its scales together"):
        compose(torn, swap, swap)


def test_an_element_of_another_architecture_is_refused() -> None:
    own, other = attention().architecture, batch_norm().architecture
    with pytest.raises(ValueError, match="cannot act on"):
        compose(own, identity(own), identity(other))
    with pytest.raises(ValueError, match="cannot act on"):
        act(identity(other), own, {})


def test_variables_of_no_tensor_stay_at_one() -> None:
    own = attention().architecture
    assert isinstance(own, LabelledArchitecture)
    more = replace(own, scale_count=own.scale_count + 1, logs=replace(own.logs, variables=own.scale_count + 1))
    more = replace(more, signs=more.logs)
    more = replace(more, logs=replace(more.logs, rows=np.append(more.logs.rows[1:], np.int32(own.scale_count))))
    element = element_of(more, free_logs=np.ones(more.logs.free))
    assert element.logs[-1] == 0 and element.logs[1:-2].all()
