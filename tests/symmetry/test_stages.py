"""The group on chains with norms and slopes between their layers, and on several chains, in weight space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, Stage, StageKind, chain, functional_forward
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry import (
    GroupElement,
    NormalFormSettings,
    act,
    align,
    load_element,
    normal_form,
    sample_element,
    save_element,
)

KINDS = {
    "BatchNorm behind the activation": Stage("s", StageKind.AFFINE, 6, "behind"),
    "a second BatchNorm": Stage("s", StageKind.AFFINE, 6, "before"),
    "LayerNorm": Stage("s", StageKind.LAYER_NORM, 6, "before"),
    "LayerNorm behind the activation": Stage("s", StageKind.LAYER_NORM, 6, "behind"),
    "GroupNorm": Stage("s", StageKind.GROUP_NORM, 6, "before"),
    "gains": Stage("s", StageKind.GAINS, 6, "before", has_bias=False),
    "slopes": Stage("s", StageKind.SLOPES, 6, "before", has_bias=False),
    "BatchNorm of the inputs": Stage("s", StageKind.AFFINE, 4, "inputs"),
}
Make = Callable[..., NetworkWeights]


def staged(kind: str, activation: str) -> Architecture:
    """4 -> 6 -> 5 -> 3, with the stage at the first layer."""
    name = "prelu" if kind == "slopes" else activation
    layers = [Layer("a", "linear", 4, 6, stages=(KINDS[kind],)), Layer("b", "linear", 6, 5), Layer("c", "linear", 5, 3)]
    return chain(layers, activation=name)


def point_of(architecture: Architecture, seed: int = 0) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        spec.name: torch.randn(spec.shape, generator=generator, dtype=torch.float64) for spec in architecture.tensors
    }
    if "s.weight" in tensors and "s.bias" not in tensors:
        tensors["s.weight"] = tensors["s.weight"].abs()
    return NetworkWeights(architecture, tensors)


def drawn(architecture: Architecture, seed: int = 1) -> GroupElement:
    return sample_element(architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0), phase=True)


def inputs() -> Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def distance(one: NetworkWeights, other: NetworkWeights) -> float:
    return max(float((one.tensors[name] - other.tensors[name]).abs().max()) for name in one.tensors)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sin"])
@pytest.mark.parametrize("kind", KINDS)
def test_elements_move_the_weights_and_keep_the_function(kind: str, activation: str) -> None:
    point = point_of(staged(kind, activation))
    moved = act(drawn(point.architecture), point)
    assert distance(moved, point) > 0.1
    before, after = (functional_forward(own, inputs()) for own in (point, moved))
    assert torch.allclose(before, after, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sin"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_normal_form_is_one_for_the_orbit(kind: str, activation: str) -> None:
    point = point_of(staged(kind, activation))
    once = act(normal_form(point).element, point)
    moved = act(drawn(point.architecture), point)
    assert distance(act(normal_form(moved).element, moved), once) < 1e-9
    assert distance(act(normal_form(once).element, once), once) == 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sin"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_element_between_two_networks_of_one_orbit_is_found(kind: str, activation: str) -> None:
    point = point_of(staged(kind, activation))
    element = drawn(point.architecture)
    found = align(point, act(element, point))
    assert found.same_orbit
    for mine, other in zip(found.element.permutations, element.permutations, strict=True):
        assert torch.equal(mine, other)
    for group, (mine, other) in enumerate(zip(found.element.factors, element.factors, strict=True)):
        assert torch.allclose(mine, other, rtol=1e-9), group


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_another_orbit(kind: str) -> None:
    point = point_of(staged(kind, "relu"))
    moved = act(drawn(point.architecture), point)
    for spec in point.architecture.tensors:
        changed = dict(moved.tensors)
        changed[spec.name] = changed[spec.name].clone()
        changed[spec.name].view(-1)[0] *= 1.01
        assert not align(point, NetworkWeights(point.architecture, changed)).same_orbit, spec.name


@pytest.mark.parametrize("equal", ["gains", "weights"])
def test_fresh_layer_norms_tell_no_neurons_apart_but_their_weights_do(equal: str) -> None:
    point = point_of(staged("LayerNorm", "relu"))
    tensors = dict(point.tensors) | {"s.weight": torch.ones(6).double(), "s.bias": torch.zeros(6).double()}
    if equal == "weights":  # neurons that are copies of one another
        tensors["a.weight"] = tensors["a.weight"][:1].expand(6, -1).clone()
        tensors["a.bias"] = tensors["a.bias"][:1].expand(6).clone()
    point = NetworkWeights(point.architecture, tensors)
    moved = act(drawn(point.architecture), point)
    assert align(point, moved).same_orbit
    form = normal_form(point)
    assert len(form.duplicates[0]) == (1 if equal == "weights" else 0)
    if equal == "gains":
        assert distance(act(normal_form(moved).element, moved), act(form.element, point)) < 1e-9


def test_neurons_behind_a_group_norm_keep_their_places(tmp_path: Path) -> None:
    architecture = staged("GroupNorm", "relu")
    element = drawn(architecture)
    assert torch.equal(element.permutations[0], torch.arange(6)) and bool((element.diagonals[0] != 1).all())
    assert not torch.equal(element.permutations[1], torch.arange(5))
    save_element(tmp_path / "g.safetensors", element, architecture)
    assert torch.equal(load_element(tmp_path / "g.safetensors", architecture).diagonals[0], element.diagonals[0])
    shuffled = element.replace(0, torch.arange(6).flip(0), element.diagonals[0], element.half_turns[0])
    save_element(tmp_path / "h.safetensors", shuffled, architecture)
    with pytest.raises(CheckpointError, match="a permutation would change the function"):
        load_element(tmp_path / "h.safetensors", architecture)


def two_chains(activation: str = "relu") -> Architecture:
    layers = [Layer(name, "linear", 4, 4) for name in "abcd"]
    return chain(layers, activation=activation, starts=(0, 2))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_chains_move_by_themselves_and_what_joins_them_stays(activation: str) -> None:
    architecture = two_chains(activation)
    assert [group.name for group in architecture.groups] == ["a", "c"]
    assert [[layer.name for layer in own.layers] for own in architecture.chains] == [["a", "b"], ["c", "d"]]
    point = point_of(architecture)
    moved = act(drawn(architecture), point)
    assert torch.equal(moved.tensors["b.bias"], point.tensors["b.bias"])
    for own in architecture.chains:
        before, after = (functional_forward(NetworkWeights(own, part.tensors), inputs()) for part in (point, moved))
        assert torch.allclose(before, after, atol=1e-10)
    with pytest.raises(ValueError, match="several chains"):
        functional_forward(point, inputs())
    assert align(point, moved).same_orbit
    once = act(normal_form(point, NormalFormSettings("balanced")).element, point)
    assert distance(act(normal_form(moved, NormalFormSettings("balanced")).element, moved), once) < 1e-9


def test_architectures_that_differ_in_what_lies_between_layers_have_other_signatures() -> None:
    own = [staged(kind, "relu") for kind in KINDS if kind != "slopes"] + [
        two_chains(),
        chain(two_chains().layers, activation="relu"),
    ]
    assert len({each.signature for each in own}) == len(own)
    assert len({each.fingerprint for each in own}) == len(own)
