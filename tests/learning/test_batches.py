"""Batches hold every network once, in order, and stay small however large the networks are."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.learning import batches as module
from nfn_cli.learning.batches import batches


def mlp(hidden: int) -> Architecture:
    return chain([Layer("0", "linear", 1, hidden), Layer("1", "linear", hidden, 1)], activation="relu")


def population(count: int, hidden: int) -> NetworkWeights:
    architecture = mlp(hidden)
    numbers = torch.arange(count, dtype=torch.float64)
    return NetworkWeights(
        architecture,
        {spec.name: numbers.view(-1, *[1] * len(spec.shape)).expand(-1, *spec.shape) for spec in architecture.tensors},
    )


@pytest.mark.parametrize(
    ("count", "hidden", "sizes"), [(10, 1, [4, 4, 2]), (8, 1, [4, 4]), (3, 5, [2, 1]), (2, 50, [1, 1])]
)
def test_batches_are_bounded_in_networks_and_in_parameters(
    count: int, hidden: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_NETWORKS", 4)
    monkeypatch.setattr(module, "_MOST_PARAMETERS", 32)  # a network has 3 · hidden + 1
    parts = list(batches(population(count, hidden)))
    assert [len(part.tensors["0.bias"]) for part in parts] == sizes
    for name in parts[0].tensors:
        joined = torch.cat([part.tensors[name] for part in parts])
        assert torch.equal(joined, population(count, hidden).tensors[name])
