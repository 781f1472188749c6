"""The normal form of float32 files: one for the whole orbit, as far as what is stored tells neurons apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights
from nfn_cli.symmetry import GroupElement, NormalFormSettings, act, normal_form, sample_element

MakeNetwork = Callable[..., NetworkWeights]

WIDE = [Layer("a", "linear", 8, 96), Layer("b", "linear", 96, 64), Layer("c", "linear", 64, 4)]
ACTIVATIONS = ["relu", "tanh", "sin", "identity", "gelu"]
ROUNDING = 1e-6


def form(point: NetworkWeights, scale: str) -> tuple[GroupElement, NetworkWeights]:
    """The element, and the normal form as it is stored."""
    element = normal_form(point, NormalFormSettings(scale), precision=torch.float32).element  # type: ignore[arg-type]
    return element, act(element, point)


def deviation(found: NetworkWeights, expected: NetworkWeights) -> float:
    """Largest difference, relative to each tensor's largest entry."""
    return max(
        ((found.tensors[name] - tensor).abs().max() / tensor.abs().max()).item()
        for name, tensor in expected.tensors.items()
    )


def transformed_by(point: NetworkWeights, seed: int) -> tuple[GroupElement, NetworkWeights]:
    generator = torch.Generator().manual_seed(seed)
    element = sample_element(point.architecture, generator, scale_range=(1e-4, 1e4), phase=True)
    return element, act(element, point)


@pytest.mark.parametrize("scale", ["unit", "balanced"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_scales_up_to_ten_thousand(activation: str, scale: str, network: MakeNetwork) -> None:
    for seed in range(8):
        point = network(WIDE, activation, seed, dtype=torch.float32)
        _, expected = form(point, scale)
        _, moved = transformed_by(point, seed)
        assert deviation(moved, point) > 0.1
        assert deviation(form(moved, scale)[1], expected) < ROUNDING, seed


def almost_copies(point: NetworkWeights, gap: float) -> NetworkWeights:
    """The last hidden layer in pairs whose weights agree but for a relative gap, and whose biases are opposite."""
    tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in point.tensors.items()}
    sides = torch.randn(32, 96, generator=torch.Generator().manual_seed(0)).sign()
    tensors["b.weight"][1::2] = (tensors["b.weight"][::2].double() * (1 + gap * sides)).float()
    tensors["b.bias"][1::2] = -tensors["b.bias"][::2]
    return NetworkWeights(point.architecture, tensors)


@pytest.mark.parametrize("gap", [0.0, 2e-7, 1e-6, 2e-6, 5e-6, 1e-4])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_neurons_that_are_tied_within_rounding_are_one_set(activation: str, gap: float, network: MakeNetwork) -> None:
    """Which of them comes first may hang on rounding; which they are, and all else, may not."""
    for seed in range(4):
        point = almost_copies(network(WIDE, activation, seed, dtype=torch.float32), gap)
        first, expected = form(point, "unit")
        element, moved = transformed_by(point, seed)
        second, found = form(moved, "unit")
        ours = first.permutations[1]
        theirs = element.permutations[1][second.permutations[1]]
        order = theirs.argsort()[ours]  # where each neuron of ours stands in theirs
        assert torch.equal(ours // 2, theirs // 2)  # only the two of a pair may stand in each other's place
        sets = GroupElement(
            (torch.arange(96), order), tuple(torch.ones(len(part), dtype=torch.float64) for part in first.diagonals)
        )
        assert deviation(act(sets, found), expected) < ROUNDING


def test_weights_next_to_the_subnormal_lose_digits_and_ordinary_ones_do_not(network: MakeNetwork) -> None:
    point = network(WIDE, "relu", dtype=torch.float32)
    _, expected = form(point, "unit")

    def deviation_below(factor: float) -> float:
        small = torch.full((96,), factor, dtype=torch.float64)
        ones = torch.ones(64, dtype=torch.float64)
        element = GroupElement((torch.arange(96), torch.arange(64)), (small, ones))
        return deviation(form(act(element, point), "unit")[1], expected)

    assert deviation_below(1e-30) < ROUNDING
    assert deviation_below(1e-42) > 1e-3
