"""Pictures from weights: the places of pixels, the values there, and phases within one turn."""

from __future__ import annotations

import math

import pytest
import torch

from nfn_cli.architectures import (
    Layer,
    NetworkWeights,
    chain,
    picture_values,
    pixel_grid,
    places_along,
    population_forward,
    with_phases_within_one_turn,
    within_one_turn,
)


def networks(activation: str, omegas: tuple[float, ...] = ()) -> NetworkWeights:
    """Three networks in float64: two hidden layers of five neurons, two channels."""
    sizes = [(2, 5), (5, 5), (5, 2)]
    layers = [Layer(f"{position}", "linear", *size) for position, size in enumerate(sizes)]
    architecture = chain(layers, activation=activation, omega_0=4.0, omegas=omegas)
    generator = torch.Generator().manual_seed(0)
    shapes = {spec.name: (3, *spec.shape) for spec in architecture.tensors}
    drawn = {name: torch.randn(shape, generator=generator).double() for name, shape in shapes.items()}
    return NetworkWeights(architecture, drawn)


def test_a_grid_goes_row_by_row_from_corner_to_corner() -> None:
    places = pixel_grid(3, 2)
    assert places.tolist() == [[-1, -1], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 1]]
    assert pixel_grid(1, 3).tolist() == [[0, -1], [0, 0], [0, 1]]
    assert places_along(5).tolist() == [-1, -0.5, 0, 0.5, 1]


def test_a_grid_has_numbers_where_a_head_is_built_without_memory() -> None:
    with torch.device("meta"):
        assert pixel_grid(1, 2).tolist() == [[0, -1], [0, 1]]


@pytest.mark.parametrize(
    ("activation", "omegas"), [("sin", ()), ("sin", (7.0, 0.5)), ("tanh", ()), ("relu", ())], ids=str
)
@pytest.mark.parametrize("graded", [False, True])
def test_values_are_those_of_the_forward_pass(activation: str, omegas: tuple[float, ...], graded: bool) -> None:
    point = networks(activation, omegas)
    before = {name: tensor.clone() for name, tensor in point.tensors.items()}
    places = pixel_grid(4, 3).double()
    tensors, frequencies = list(point.tensors.values()), [point.architecture.frequency(layer) for layer in range(2)]
    with torch.set_grad_enabled(graded):
        values = picture_values(tensors, places, activation, frequencies)
        each = picture_values(tensors, places.expand(3, -1, -1), activation, frequencies)
    torch.testing.assert_close(values, population_forward(point, places))
    torch.testing.assert_close(each, values)
    first = picture_values(tensors, places, activation, frequencies, channels_first=True)
    torch.testing.assert_close(first.mT, values)
    assert all(torch.equal(before[name], tensor) for name, tensor in point.tensors.items())


def test_hidden_layers_are_kept_on_request() -> None:
    tensors = list(networks("sin").tensors.values())
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        values = picture_values(tensors, pixel_grid(2, 2), "sin", [4.0, 4.0], kept)
    assert [tuple(phase.shape) for phase, _ in kept] == [(3, 4, 5), (3, 4, 5)]
    assert all(torch.equal(phase.sin(), given) for phase, given in kept)
    torch.testing.assert_close(values, (kept[1][1] @ tensors[4].mT + tensors[5][:, None]))


def test_phases_within_one_turn_give_the_same_sines() -> None:
    biases = torch.tensor([-100.0, -0.4, 0.0, 0.3, 1e4])
    found = within_one_turn(biases, 4.0)
    assert found.dtype == torch.float64 and found.abs().max() <= math.pi / 4 + 1e-12
    torch.testing.assert_close((4 * found).sin(), (4 * biases.double()).sin(), atol=1e-9, rtol=0)


def test_only_hidden_biases_of_sines_change() -> None:
    point = networks("sin")
    tensors = [tensor + 50 for tensor in point.tensors.values()]
    found = with_phases_within_one_turn(point.architecture, tensors)
    assert [torch.equal(one, other) for one, other in zip(found, tensors, strict=True)] == [1, 0, 1, 0, 1, 1]
    plain = networks("tanh")
    same = with_phases_within_one_turn(plain.architecture, tensors)
    assert all(one is other for one, other in zip(same, tensors, strict=True))
