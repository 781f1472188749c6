"""Alignment of networks that are mostly zeros: neurons that nothing feeds or reads, and copies of one another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights
from nfn_cli.symmetry import GroupElement, act, align, sample_element

MakeNetwork = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]

DEEP = [Layer("a", "linear", 3, 5), Layer("b", "linear", 5, 5), Layer("c", "linear", 5, 5), Layer("d", "linear", 5, 2)]
ACTIVATIONS = ["identity", "relu", "tanh", "sin", "gelu"]


def sparse(tensors: dict[str, Tensor], seed: int, zeros: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    for tensor in tensors.values():
        tensor[torch.rand(tensor.shape, generator=generator) < zeros] = 0


def element_for(point: NetworkWeights, seed: int) -> GroupElement:
    return sample_element(point.architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0), phase=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("zeros", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", ["mlp", "cnn", "deep"])
def test_mostly_zeros(
    layers: str, activation: str, zeros: float, dtype: torch.dtype, network: MakeNetwork, changed: Change
) -> None:
    for seed in range(12):
        made = network(DEEP if layers == "deep" else layers, activation, seed, dtype=dtype)
        point = changed(made, lambda tensors, seed=seed: sparse(tensors, seed, zeros))
        found = align(point, act(element_for(point, seed), point))
        assert found.same_orbit, (seed, found.deviation)


def fed_by_silence(point: NetworkWeights) -> Tensor:
    """The rows of the second layer that read silent neurons alone, bool [n]."""
    heard = point.tensors["a.weight"].any(1)
    return ~point.tensors["b.weight"][:, heard].any(1)


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sin"])
def test_a_ring_of_neurons_that_no_input_reaches(activation: str, network: MakeNetwork, changed: Change) -> None:
    """Two silent neurons and two that read them alone: only the product of weights around the ring is invariant."""

    def ring(tensors: dict[str, Tensor]) -> None:
        tensors["a.weight"][:2] = tensors["a.bias"][:2] = 0
        tensors["b.weight"][:, :2] = tensors["b.weight"][:2] = tensors["b.bias"][:2] = 0
        tensors["b.weight"][:2, :2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        tensors["c.weight"][:, :2] = 0

    point = changed(network("mlp", activation), ring)
    for seed in range(4):
        moved = act(element_for(point, seed), point)
        assert align(point, moved).same_orbit
        row = fed_by_silence(moved).nonzero()[0, 0]
        place = (row, moved.tensors["b.weight"][row].nonzero()[0, 0])

        def change(tensors: dict[str, Tensor], place: tuple[Tensor, Tensor] = place) -> None:
            tensors["b.weight"][place] *= 1.01

        assert not align(point, changed(moved, change)).same_orbit
