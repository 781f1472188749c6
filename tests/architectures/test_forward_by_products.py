"""Matrix products give what grouped convolutions give."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain, forward_by_products, population_forward

LAYERS = {
    "one convolution": ([Layer("a", "conv", 2, 3, (3, 2))], (7, 6)),
    "two convolutions": ([Layer("a", "conv", 2, 3, (3, 3)), Layer("b", "conv", 3, 4, (2, 3))], (11, 13)),
    "a pooling": (
        [
            Layer("a", "conv", 1, 3, (3, 3)),
            Layer("b", "conv", 3, 4, (3, 3)),
            Layer("c", "conv", 4, 2, (2, 2)),
            Layer("d", "linear", 2, 6),
            Layer("e", "linear", 6, 5),
        ],
        (19, 19),
    ),
    "a flatten": ([Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 12, 5, spatial=4)], (9, 9)),
    "a signal": ([Layer("a", "conv", 2, 3, (4,)), Layer("b", "conv", 3, 4, (3,)), Layer("c", "linear", 4, 2)], (25,)),
    "a volume": ([Layer("a", "conv", 1, 3, (2, 2, 2)), Layer("b", "conv", 3, 2, (1, 2, 1))], (6, 5, 7)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("pool", [None, "max"])
@pytest.mark.parametrize("padding", [0, 1, None])
@pytest.mark.parametrize("at_once", [1, 256])
def test_products_give_what_grouped_convolutions_give(
    name: str,
    activation: str,
    pool: str | None,
    padding: int | None,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
    deviation: Callable[[Tensor, Tensor], float],
) -> None:
    layers, space = LAYERS[name]
    architecture = chain(layers, activation=activation, pool=pool)
    tensors = {spec.name: torch.randn(11, *spec.shape, dtype=torch.float64) for spec in architecture.tensors}
    point = NetworkWeights(architecture, tensors)
    inputs = torch.randn(5, layers[0].in_features, *space, dtype=torch.float64)
    before = inputs.clone()
    expected = population_forward(point, inputs, stride=2, padding=padding)
    monkeypatch.setattr(forward_by_products, "_INPUTS", at_once)
    monkeypatch.setattr(forward_by_products, "_NUMBERS", 1000)
    with torch.no_grad():
        assert forward_by_products.runs_by_products(point, inputs, 2, padding)
        found = population_forward(point, inputs, stride=2, padding=padding)
    assert found.shape == expected.shape
    assert deviation(found, expected) < 1e-12
    assert torch.equal(inputs, before)


def test_what_else_is_not_run_by_products() -> None:
    architecture = chain([Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 3, 5)], activation="relu")
    point = NetworkWeights(architecture, {spec.name: torch.zeros(2, *spec.shape) for spec in architecture.tensors})
    small, large, none = (torch.zeros(2, 1, side, side) for side in (5, 400, 2))
    assert not forward_by_products.runs_by_products(point, small, 1, 0)  # gradients
    with torch.no_grad():
        assert forward_by_products.runs_by_products(point, small, 1, 0)
        assert not forward_by_products.runs_by_products(point, large, 1, 0)
        assert not forward_by_products.runs_by_products(point, none, 1, 0)
        assert not forward_by_products.runs_by_products(point, small[0], 1, 0)
        assert population_forward(point, large).shape == (2, 2, 5)


def test_inputs_that_were_written_to_by_numpy_are_read_again() -> None:
    architecture = chain([Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 3, 5)], activation="relu")
    point = NetworkWeights(architecture, {spec.name: torch.randn(2, *spec.shape) for spec in architecture.tensors})
    inputs = torch.randn(3, 1, 5, 5)
    with torch.no_grad():
        population_forward(point, inputs)
        inputs.numpy()[:] = 1.0
        assert torch.equal(population_forward(point, inputs), population_forward(point, torch.ones(3, 1, 5, 5)))


def test_no_inputs_give_no_outputs() -> None:
    architecture = chain([Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 3, 5)], activation="relu")
    point = NetworkWeights(architecture, {spec.name: torch.zeros(2, *spec.shape) for spec in architecture.tensors})
    with torch.no_grad():
        assert population_forward(point, torch.zeros(0, 1, 5, 5)).shape == (2, 0, 5)


def test_short_numbers_are_used_where_they_are_wanted() -> None:
    architecture = chain([Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 3, 5)], activation="relu")
    point = NetworkWeights(architecture, {spec.name: torch.randn(2, *spec.shape) for spec in architecture.tensors})
    inputs = torch.randn(3, 1, 5, 5)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert population_forward(point, inputs).dtype == torch.bfloat16
