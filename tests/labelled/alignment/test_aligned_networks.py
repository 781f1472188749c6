"""The element between two networks of one orbit is found, in every dtype; nothing else passes for one orbit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import pytest
import torch
from torch import Tensor
from traced_networks import NETWORKS, random_state, traced

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.alignment.residuals import Residual
from nfn_cli.symmetry.alignment.watch import UNWATCHED
from nfn_cli.symmetry.labelled import Element, act, bounded, sample
from nfn_cli.symmetry.labelled.alignment import align, residuals
from nfn_cli.symmetry.labelled.alignment.search import Search, State

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
# 1 % is within the tolerances of bfloat16 and, next to rounding, near that of float16.
CHANGES = {torch.float64: 1.01, torch.float32: 1.01, torch.float16: 1.05, torch.bfloat16: 1.05}
QUICK = ["mlp", "llama"]

architecture_of = lru_cache(traced)


def disguise(architecture: LabelledArchitecture, state: dict[str, Tensor], seed: int) -> Element:
    generator = torch.Generator().manual_seed(seed)
    return bounded(sample(architecture, generator, scale_range=(0.3, 3.0)), architecture, state)


def cast(state: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) for name, tensor in state.items()}


def changed(architecture: LabelledArchitecture, state: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """The largest entry of the largest tensor times a factor."""
    largest = max((own for own in architecture.tensors if own.uses), key=lambda own: math.prod(own.shape))
    values = state[largest.name].clone()
    values.view(-1)[values.abs().argmax()] *= factor
    return {**state, **{name: values for name in largest.names}}


def noisy(architecture: LabelledArchitecture, state: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    new = dict(state)
    for tensor in architecture.tensors:
        if tensor.uses and not tensor.name.endswith("running_var"):
            values = state[tensor.name]
            values = values + share * values.std() * torch.randn(values.shape, generator=generator).double()
            new.update({name: values for name in tensor.names})
    return new


def total(left: Iterable[Residual]) -> float:
    return math.sqrt(sum(residual.distance**2 for residual in left))


def check_orbit(name: str, dtype: torch.dtype, seed: int, *, change: bool = True) -> None:
    architecture = architecture_of(name)
    ours = cast(random_state(architecture), dtype)
    theirs = act(disguise(architecture, ours, seed), architecture, ours)
    found = align(architecture, ours, theirs)
    assert found.same_orbit
    assert found.deviation <= found.tolerance
    moved = act(found.element, architecture, ours)
    for tensor, other in theirs.items():
        size = other.double().abs().max()
        assert (moved[tensor].double() - other.double()).abs().max() <= found.tolerance * size
    if change:
        assert not align(architecture, ours, changed(architecture, theirs, CHANGES[dtype])).same_orbit


def check_noise(name: str, seed: int) -> None:
    architecture = architecture_of(name)
    ours = random_state(architecture)
    element = disguise(architecture, ours, seed)
    theirs = act(element, architecture, noisy(architecture, ours, 0.1))
    found = align(architecture, ours, theirs)
    assert not found.same_orbit
    assert total(found.residuals) <= 1.01 * total(residuals(element, architecture, ours, theirs))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in QUICK])
def test_a_disguised_network_is_found(name: str) -> None:
    check_orbit(name, torch.float32, 0, change=name in ("gpt", "grouped"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_it_is_found_in_every_dtype(name: str, dtype: torch.dtype) -> None:
    check_orbit(name, dtype, 1)


@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_fine_tuned_networks_are_brought_as_near_as_they_were(name: str) -> None:
    check_noise(name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_found_in_every_dtype(name: str, dtype: torch.dtype, seed: int) -> None:
    check_orbit(name, dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_every_fine_tuned_network_is_brought_as_near_as_it_was(name: str, seed: int) -> None:
    check_noise(name, seed)


@pytest.mark.parametrize("name", ["mlp", "dense"])
def test_independent_networks_are_not_one(name: str) -> None:
    architecture = architecture_of(name)
    ours, theirs = random_state(architecture), random_state(architecture, 1)
    found = align(architecture, ours, theirs)
    assert not found.same_orbit
    assert total(found.residuals) > 0.5
    assert found.permuted is not None and total(found.residuals) <= total(found.permuted) + 1e-9


@pytest.mark.parametrize("name", ["cnn", "tied llama"])
def test_a_network_is_itself(name: str) -> None:
    architecture = architecture_of(name)
    state = random_state(architecture)
    found = align(architecture, state, state)
    assert found.same_orbit and total(found.residuals) == 0
    assert found.element.is_permutation and (found.element.goes == range(architecture.label_count)).all()


def test_permutations_alone_are_told() -> None:
    architecture = architecture_of("mlp")
    state = random_state(architecture)
    moved = act(sample(architecture, torch.Generator().manual_seed(0), scale=False, flip=False), architecture, state)
    found = align(architecture, state, moved)
    assert found.same_orbit and found.permuted is not None and total(found.permuted) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_dead_and_equal_neurons_are_matched(name: str) -> None:
    architecture = architecture_of(name)
    state = random_state(architecture)
    first = "0.weight" if name == "mlp" else "blocks.0.conv1.weight"
    state[first][3] = 0.0  # nothing feeds it, though something is read from it
    state[first][4] = state[first][2]
    for vector in ("0.bias",) if name == "mlp" else [f"blocks.0.bn1.{part}" for part in ("weight", "bias")]:
        state[vector][3] = 0.0
        state[vector][4] = state[vector][2]
    for part in () if name == "mlp" else ("running_mean", "running_var"):
        state[f"blocks.0.bn1.{part}"][4] = state[f"blocks.0.bn1.{part}"][2]
    for seed in range(3):
        moved = act(disguise(architecture, state, seed), architecture, state)
        assert align(architecture, state, moved).same_orbit


def test_a_changed_vector_is_seen() -> None:
    architecture = architecture_of("gpt")
    state = random_state(architecture)
    moved = act(disguise(architecture, state, 0), architecture, state)
    for name in ("norm.bias", "layers.1.qkv.bias"):
        values = moved[name].clone()
        values[1] *= 1.01
        assert not align(architecture, state, {**moved, name: values}).same_orbit


def test_names_that_are_tied_and_differ_are_not_one() -> None:
    architecture = architecture_of("tied llama")
    state = random_state(architecture)
    tied = next(tensor for tensor in architecture.tensors if len(tensor.names) > 1)
    other = {**state, tied.names[1]: state[tied.names[1]] * 1.5}
    assert not align(architecture, state, other).same_orbit


def test_a_missing_tensor_or_shape_is_said() -> None:
    architecture = architecture_of("mlp")
    state = random_state(architecture)
    short = {name: tensor for name, tensor in state.items() if name != "2.weight"}
    with pytest.raises(ValueError, match=r"2\.weight"):
        align(architecture, state, short)
    with pytest.raises(ValueError, match=r"2\.weight"):
        align(architecture, state, {**state, "2.weight": torch.zeros(3, 3)})


def test_signs_are_set_by_all_that_has_them() -> None:
    """A sign that few numbers of a fine-tuned network told wrongly is mended by the others."""
    architecture = architecture_of("llama")
    ours = random_state(architecture)
    element = disguise(architecture, ours, 0)
    theirs = act(element, architecture, ours)
    search = Search(architecture, ours, theirs, 1e-10)
    search.forward(UNWATCHED)
    right = search.state
    for wrong in range(0, len(right.sign), 7):
        signs = right.sign.copy()
        signs[wrong] ^= True
        search.restore(State(right.places, right.log, signs))
        assert search.fit.distance(range(len(search.slices.views))) > 1e-3
        search.fit.flip(3)
        assert search.fit.distance(range(len(search.slices.views))) < 1e-20


@pytest.mark.parametrize("name", ["grouped"])
def test_sweeps_mend_wrong_matches_and_leave_right_ones(name: str) -> None:
    architecture = architecture_of(name)
    ours = random_state(architecture)
    theirs = act(disguise(architecture, ours, 0), architecture, ours)
    search = Search(architecture, ours, theirs, 1e-10)
    search.forward(UNWATCHED)
    views = range(len(search.slices.views))
    assert not search.sweep(UNWATCHED) and search.fit.distance(views) < 1e-20
    right = search.state
    for block, places in enumerate(right.places):
        wrong = places.copy()
        wrong[0, :2] = places[0, 1::-1]
        search.restore(State((*right.places[:block], wrong, *right.places[block + 1 :]), right.log, right.sign))
        assert search.fit.distance(views) > 1e-3
        assert search.sweep(UNWATCHED) and search.fit.distance(views) < 1e-20
