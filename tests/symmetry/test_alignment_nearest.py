"""Networks on different orbits: the element that leaves them nearest."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights
from nfn_cli.symmetry import GroupElement, act, align, sample_element
from nfn_cli.symmetry.alignment import refinement
from nfn_cli.symmetry.alignment.residuals import residuals

MakeNetwork = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]

SMALL = [Layer("a", "linear", 3, 4), Layer("b", "linear", 4, 2)]
TWO_HIDDEN = [Layer("a", "linear", 12, 16), Layer("b", "linear", 16, 10), Layer("c", "linear", 10, 3)]


def total(element: GroupElement, ours: NetworkWeights, theirs: NetworkWeights) -> float:
    return sum(left.distance**2 for left in residuals(element, ours, theirs))


@pytest.mark.parametrize("activation", ["gelu", "tanh", "sin"])
def test_of_one_hidden_layer_the_nearest_element_is_found(activation: str, network: MakeNetwork) -> None:
    """Every permutation, with the best signs and phases of each neuron: those do not depend on one another."""
    for seed in range(4):
        ours, theirs = network(SMALL, activation, 2 * seed), network(SMALL, activation, 2 * seed + 1)
        found = align(ours, theirs)
        assert not found.same_orbit
        signs = (1.0,) if activation == "gelu" else (1.0, -1.0)
        shifts = range(-3, 4) if activation == "sin" else range(1)
        least = float("inf")
        for order in itertools.permutations(range(4)):
            diagonal, half_turns = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
            for neuron in range(4):
                tried = {}
                for diagonal[neuron], half_turns[neuron] in itertools.product(signs, shifts):
                    element = GroupElement((torch.tensor(order),), (diagonal.clone(),), (half_turns.clone(),))
                    tried[diagonal[neuron].item(), half_turns[neuron].item()] = total(element, ours, theirs)
                (diagonal[neuron], half_turns[neuron]), distance = min(tried.items(), key=lambda item: item[1])
            least = min(least, distance)
        assert sum(left.distance**2 for left in found.residuals) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("layers", ["mlp", "cnn"])
def test_no_factor_alone_brings_them_nearer(layers: str, activation: str, network: MakeNetwork) -> None:
    ours, theirs = network(layers, activation), network(layers, activation, 3)
    found = align(ours, theirs)
    nearest = total(found.element, ours, theirs)
    for group, diagonal in enumerate(found.element.diagonals):
        for neuron, factor in itertools.product(range(len(diagonal)), (0.9, 1.1, -1.0)):
            if factor < 0 and activation == "relu":
                continue
            changed = diagonal.clone()
            changed[neuron] *= factor
            element = found.element.replace(
                group, found.element.permutations[group], changed, found.element.half_turns[group]
            )
            # Descent stops before its last thousandth.
            assert total(element, ours, theirs) > nearest * (1 - 1e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "identity", "gelu"])
@pytest.mark.parametrize("layers", ["mlp", "cnn", "unbiased"])
def test_scales_and_signs_bring_no_pair_further_apart(layers: str, activation: str, network: MakeNetwork) -> None:
    for seed in range(3):
        ours, theirs = network(layers, activation, 2 * seed), network(layers, activation, 2 * seed + 1)
        found = align(ours, theirs)
        assert found.permuted is not None
        apart = [sum(left.distance**2 for left in side) for side in (found.residuals, found.permuted)]
        assert apart[0] <= apart[1] * (1 + 1e-9)
        identity = GroupElement.identity([group.size for group in ours.architecture.groups])
        assert apart[1] < total(identity, ours, theirs)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
def test_a_change_of_one_layer_stays_in_that_layer(activation: str, network: MakeNetwork, changed: Change) -> None:
    """Fine-tuned in its first layer alone, and moved: the other layers fit as well as they did."""
    point = network(TWO_HIDDEN, activation)

    def tune(tensors: dict[str, Tensor]) -> None:
        noise = torch.randn(tensors["a.weight"].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        tensors["a.weight"] *= 1 + 0.1 * noise

    element = sample_element(point.architecture, torch.Generator().manual_seed(2), scale_range=(0.1, 10.0), phase=True)
    found = align(point, act(element, changed(point, tune)))
    assert not found.same_orbit
    for mine, drawn in zip(found.element.permutations, element.permutations, strict=True):
        assert torch.equal(mine, drawn)
    first, *others = (left.distance for left in found.residuals)
    assert 0.02 < first < 0.15
    assert max(others) < 0.06


def test_what_nothing_feeds_or_reads_does_no_harm(network: MakeNetwork, changed: Change) -> None:
    def silence(tensors: dict[str, Tensor]) -> None:
        tensors["a.weight"][0], tensors["a.bias"][0] = 0, 0
        tensors["b.weight"][:, 1] = 0
        tensors["b.weight"][:, 0] = 0

    for activation in ("relu", "identity", "tanh", "sin"):
        ours = changed(network(TWO_HIDDEN, activation), silence)
        theirs = changed(network(TWO_HIDDEN, activation, 1), silence)
        found = align(ours, theirs)
        assert all(diagonal.isfinite().all() and (diagonal != 0).all() for diagonal in found.element.diagonals)
        assert all(left.distance < 2 for left in found.residuals)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200], ids=str)
def test_layers_of_any_size_weigh_alike(factor: float, network: MakeNetwork) -> None:
    ours, theirs = network(TWO_HIDDEN, "tanh"), network(TWO_HIDDEN, "tanh", 1)
    scaled = [
        NetworkWeights(point.architecture, {name: tensor * factor for name, tensor in point.tensors.items()})
        for point in (ours, theirs)
    ]
    expected, found = align(ours, theirs), align(*scaled)
    for left, other in zip(expected.residuals, found.residuals, strict=True):
        assert other.distance == pytest.approx(left.distance, rel=1e-6)


def test_networks_too_large_to_refine_stay_as_the_first_pass_leaves_them(
    network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = network(TWO_HIDDEN, "relu"), network(TWO_HIDDEN, "relu", 1)
    # 12·16 + 16·10 weights meet the 16 neurons that they join, 16·10 + 10·3 the 10; biases meet their own.
    work = (12 * 16 + 16 * 10) * 16 + (16 * 10 + 10 * 3) * 10 + 16 * 16 + 10 * 10
    refined = align(ours, theirs)
    monkeypatch.setattr(refinement, "_MOST_WORK", work)
    once = align(ours, theirs)
    monkeypatch.setattr(refinement, "_MOST_WORK", work - 1)
    first = align(ours, theirs)
    apart = [sum(left.distance**2 for left in found.residuals) for found in (refined, once, first)]
    assert apart[0] <= apart[1] < apart[2]
