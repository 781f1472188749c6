"""Scales that are powers of two round nothing; other scales keep variances positive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_networks import NETWORKS, Network, attention, batch_norm, each, numbers, whole
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor, Solutions, Stored
from nfn_cli.symmetry.labelled import act, bounded, compose, element_of, inverse, sample
from nfn_cli.symmetry.labelled.use_plans import powers


def rounded(network: Network, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) for name, tensor in network.state.items()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_undone_bit_by_bit(name: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name]()
    own = network.architecture
    state = rounded(network, dtype)
    for seed in range(4):
        element = sample(own, torch.Generator().manual_seed(seed), scale_range=(0.5, 4.0), pow2=True)
        moved = act(element, own, state)
        back = act(inverse(own, element), own, moved)
        assert all(torch.equal(back[key], tensor) for key, tensor in state.items())
        wide = act(element, own, {key: tensor.double() for key, tensor in state.items()})
        assert all(torch.equal(wide[key], tensor.double()) for key, tensor in moved.items())
    assert name == "BatchNorm" or bool(element.logs.any())


def test_without_them_numbers_are_rounded() -> None:
    network = attention()
    own, state = network.architecture, rounded(attention(), torch.bfloat16)
    element = sample(own, torch.Generator().manual_seed(0), scale_range=(0.5, 4.0))
    back = act(inverse(own, element), own, act(element, own, state))
    assert not torch.equal(back["qkv.weight"], state["qkv.weight"])


def test_what_is_stored_behind_a_sum_is_left_alone() -> None:
    own = batch_norm().architecture
    element = sample(own, torch.Generator().manual_seed(0), scale_range=(0.5, 4.0), pow2=True)
    assert not element.logs.any() and not element.signs.any()  # all hang on c, by which the variance is scaled


def one_variable_each(coefficients: list[float], stored: tuple[Stored, ...] = ()) -> LabelledArchitecture:
    """Variable v is coefficient times the one free value; each scales an entry."""
    count = len(coefficients)
    tensor = LabelledTensor(("x",), (count,), (whole((count,), (), ((1, numbers(0, count)),), stored),))
    solutions = Solutions(count, 1, numbers(0, count), np.zeros(count, dtype=np.int32), np.array(coefficients))
    none = each(np.empty(0, dtype=np.int32), count)
    return LabelledArchitecture((tensor,), 0, count, (), np.empty((0, 3), dtype=np.int32), solutions, none)


@pytest.mark.parametrize(("coefficients", "step"), [([1.0, -2.0], 1), ([1.0, 0.5], 2), ([0.5, 0.1, 1 / 3], 30)])
def test_fractions_of_a_free_value_are_whole_too(coefficients: list[float], step: int) -> None:
    own = one_variable_each(coefficients)
    found = set()
    for seed in range(200):
        logs = sample(own, torch.Generator().manual_seed(seed), scale_range=(2.0**-60, 2.0**60), pow2=True).logs
        assert np.array_equal(logs, np.rint(logs))
        found.add(round(logs[0] / coefficients[0]))
    assert {value % step for value in found} == {0} and len(found) > 1


def test_a_range_without_a_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no power of two lies between 1.1 and 1.9"):
        sample(attention().architecture, torch.Generator(), scale_range=(1.1, 1.9), pow2=True)
    element = sample(attention().architecture, torch.Generator().manual_seed(0), scale_range=(4.0, 4.0), pow2=True)
    assert set(element.logs[:-1]) == {2.0}


def test_whole_powers_are_exact() -> None:
    found = powers(np.array([-400.0, -3.0, 0.0, 1.0, 400.0, 0.5]))
    assert found.tolist()[:5] == [2.0**-400, 0.125, 1.0, 2.0, 2.0**400]
    assert abs(found[5] - 2**0.5) < 1e-15


def test_variances_stay_positive_and_the_function_the_same() -> None:
    network = batch_norm(epsilon=1e-2, smallest=1e-4)
    own = network.architecture
    before = network.run(network.state)[0]
    wild = element_of(own, free_logs=np.full(6, -1.0))
    assert act(wild, own, network.state)["var"].min() < 0
    element = bounded(wild, own, network.state)
    moved = act(element, own, network.state)
    assert bool((moved["var"] >= 0.999e-3 * network.state["var"]).all())
    assert torch.allclose(network.run(moved)[0], before, rtol=1e-9, atol=1e-9)
    # The largest variances leave room for c as it was; the others get the least c that they allow.
    raised = element.logs[:6] > wild.logs[:6]
    assert raised.any() and not raised.all()
    assert torch.allclose(moved["var"][raised], 1e-3 * network.state["var"][raised], rtol=1e-6)


def test_what_is_within_bounds_stays_as_it_is() -> None:
    network = batch_norm()
    element = element_of(network.architecture, free_logs=np.full(6, 3.0))
    assert bounded(element, network.architecture, network.state) is element


def test_scales_that_share_a_free_value_are_bounded_together() -> None:
    # One c for all: the smallest variance bounds it.
    network = batch_norm()
    one = Solutions(12, 1, numbers(0, 6), np.zeros(6, dtype=np.int32), np.ones(6))
    own = replace(network.architecture, logs=one)
    element = bounded(element_of(own, free_logs=np.array([-5.0])), own, network.state)
    assert len(set(element.logs[:6])) == 1
    moved = act(element, own, network.state)["var"] / network.state["var"]
    assert abs(moved.min() - 1e-3) < 1e-6


def test_a_variance_of_zero_allows_no_small_scale() -> None:
    network = batch_norm()
    state = network.state | {"var": torch.zeros(6, dtype=torch.float64)}
    element = element_of(network.architecture, free_logs=np.array([-1.0, 1.0] * 3))
    assert bounded(element, network.architecture, state).logs[:6].tolist() == [0.0, 1.0] * 3


def test_bounds_hold_for_products_as_well() -> None:
    network = batch_norm()
    own = network.architecture
    small = element_of(own, free_logs=np.full(6, -1.0))
    product = small
    for _ in range(5):
        product = compose(own, small, product)
    assert act(bounded(product, own, network.state), own, network.state)["var"].min() > 0
