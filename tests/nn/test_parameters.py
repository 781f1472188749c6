"""Parameters of an equivariant layer grow linearly with depth and with the input and output sizes."""

from __future__ import annotations

import itertools

import pytest

from nfn_cli.architectures import Architecture, Layer, chain
from nfn_cli.nn import Layout, MonomialLinear

CHANNELS = 4


def parameters(architecture: Architecture) -> int:
    layout = Layout.of(architecture)
    layer = MonomialLinear(layout, [field.features for field in layout.fields], [CHANNELS] * len(layout.fields))
    return sum(parameter.numel() for parameter in layer.parameters())


def network(layers: int, outer: int, activation: str, hidden: int = 3) -> Architecture:
    widths = [outer, *[hidden] * (layers - 1), outer]
    pairs = itertools.pairwise(widths)
    return chain([Layer(str(i), "linear", n, m) for i, (n, m) in enumerate(pairs)], activation=activation)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_each_layer_more_adds_as_many_parameters(activation: str) -> None:
    counts = [parameters(network(layers, 5, activation)) for layers in range(3, 17)]
    steps = {after - before for before, after in itertools.pairwise(counts)}
    assert steps == {2 * CHANNELS}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_each_input_and_output_more_adds_as_many_parameters(activation: str) -> None:
    counts = [parameters(network(4, outer, activation)) for outer in range(1, 257)]
    steps = {after - before for before, after in itertools.pairwise(counts)}
    assert steps == {3 * CHANNELS}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_hidden_widths_add_none(activation: str) -> None:
    assert parameters(network(4, 5, activation, hidden=3)) == parameters(network(4, 5, activation, hidden=300))
