"""Several populations as one: names, order, and what is refused."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import DataError
from nfn_cli.zoo import LabelledNetworks, join_networks


def population(value: float, width: int = 3) -> LabelledNetworks:
    """Two networks of one run each, of one number and accuracy."""
    layers = [Layer("0", "linear", 2, width), Layer("1", "linear", width, 1)]
    architecture: Architecture = chain(layers, activation="relu")
    tensors = {spec.name: torch.full((2, *spec.shape), value) for spec in architecture.tensors}
    accuracies = torch.full((2,), value, dtype=torch.float64)
    return LabelledNetworks(NetworkWeights(architecture, tensors), accuracies, ("0", "1"), ("a", "b"), ("", "test"))


def test_runs_and_files_are_named_after_their_population() -> None:
    both = join_networks({"one": population(1.0), "two": population(2.0)})
    assert both.runs == ("one/0", "one/1", "two/0", "two/1")
    assert both.files == ("one/a", "one/b", "two/a", "two/b")
    assert both.splits == ("", "test", "", "test")
    assert both.targets.tolist() == [1, 1, 2, 2]
    assert both.point.tensors["1.bias"].flatten().tolist() == [1, 1, 2, 2]


def test_a_single_population_stays_as_it_is() -> None:
    alone = population(1.0)
    assert join_networks({"one": alone}) is alone


def test_other_architectures_are_refused() -> None:
    with pytest.raises(DataError, match="of another architecture than those of one"):
        join_networks({"one": population(1.0), "two": population(2.0, width=4)})
