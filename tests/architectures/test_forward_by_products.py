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
@pytest.mark.parametrize("numbers", [1, 1 << 18])
def test_products_give_what_grouped_convolutions_give(
    name: str,
    activation: str,
    pool: str | None,
    padding: int | None,
    numbers: int,
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
    monkeypatch.setattr(forward_by_products, "_NUMBERS", numbers)
    with torch.no_grad():
        assert forward_by_products.runs_by_products(point.architecture, inputs)
        found = population_forward(point, inputs, stride=2, padding=padding)
    assert found.shape == expected.shape
    assert deviation(found, expected) < 1e-12
    assert torch.equal(inputs, before)


def test_gradients_and_layers_in_another_order_are_not_run_by_products() -> None:
    convolution, linear = Layer("a", "conv", 1, 3, (3, 3)), Layer("b", "linear", 3, 5)
    inputs = torch.randn(2, 1, 5, 5)
    assert not forward_by_products.runs_by_products(chain([convolution, linear], activation="relu"), inputs)
    with torch.no_grad():
        rows = chain([linear, Layer("c", "conv", 5, 2, (1, 1))], activation="relu")
        assert not forward_by_products.runs_by_products(rows, inputs)
