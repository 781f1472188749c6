"""Pictures of INRs against plain torch modules, one network and one place after another."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import FUNCTIONS, Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.pictures import render, require_picture, require_size


def architecture(*sizes: int, activation: str = "sin", omega_0: float = 30.0) -> Architecture:
    layers = [Layer(str(i), "linear", before, after) for i, (before, after) in enumerate(itertools.pairwise(sizes))]
    return chain(layers, activation=activation, omega_0=omega_0)


def networks(architecture: Architecture, count: int, seed: int = 0) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for spec in architecture.tensors:
        inputs = spec.shape[-1] if spec.name.endswith("weight") else 4
        size = (3 / inputs) ** 0.5
        if architecture.activation == "sin":
            size /= 8
        tensors[spec.name] = size * torch.randn(count, *spec.shape, generator=generator)
    return NetworkWeights(architecture, tensors)


class Plain(nn.Module):
    """One network as anybody would write it, in float64."""

    def __init__(self, point: NetworkWeights, place: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in point.architecture.layers:
            linear = nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
            linear.weight.data = point.tensors[f"{layer.name}.weight"][place].double()
            linear.bias.data = point.tensors[f"{layer.name}.bias"][place].double()
            self.layers.append(linear)
        self.architecture = point.architecture

    def forward(self, values: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            values = layer(values)
            if self.architecture.activation == "sin":
                values = self.architecture.omega_0 * values
            values = FUNCTIONS[self.architecture.activation](values)
        return last(values)


@torch.no_grad()
def plain_pictures(point: NetworkWeights, height: int, width: int, low: float = -1, high: float = 1) -> Tensor:
    """[networks, channels, height, width] in float64, pixel by pixel."""
    pictures = []
    for place in range(len(next(iter(point.tensors.values())))):
        network = Plain(point, place)
        rows = torch.linspace(-1, 1, height, dtype=torch.float64) if height > 1 else torch.zeros(1).double()
        columns = torch.linspace(-1, 1, width, dtype=torch.float64) if width > 1 else torch.zeros(1).double()
        picture = torch.stack(
            [torch.stack([network(torch.stack([row, column])) for column in columns], dim=-1) for row in rows], dim=-2
        )
        pictures.append((picture - low) / (high - low))
    return torch.stack(pictures).clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 5), (4, 8, 6)], ids=str)
def test_pictures_are_those_of_plain_modules(channels: int, hidden: Sequence[int]) -> None:
    point = networks(architecture(2, *hidden, channels), 3)
    found = render(point, 5, 6, value_range=(-1, 1))
    expected = plain_pictures(point, 5, 6)
    assert found.shape == (3, channels, 5, 6) and found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-4
    assert expected.flatten(1).std(1).min() > 1e-3  # there is something to see


@pytest.mark.parametrize("activation", sorted(FUNCTIONS))
def test_any_activation(activation: str) -> None:
    point = networks(architecture(2, 8, 8, 1, activation=activation, omega_0=7.0), 2)
    assert (render(point, 4, 5, value_range=(-3, 3)) - plain_pictures(point, 4, 5, -3, 3)).abs().max() < 1e-5


def test_a_frequency_of_the_file_is_used() -> None:
    slow, fast = (networks(architecture(2, 8, 1, omega_0=omega_0), 2) for omega_0 in (1.0, 30.0))
    for point in (slow, fast):
        assert (render(point, 5, 5, value_range=(-1, 1)) - plain_pictures(point, 5, 5)).abs().max() < 1e-4
    assert (render(slow, 5, 5, value_range=(-1, 1)) - render(fast, 5, 5, value_range=(-1, 1))).abs().max() > 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (28, 28)])
def test_any_size(size: tuple[int, int]) -> None:
    point = networks(architecture(2, 6, 1), 2)
    assert (render(point, *size, value_range=(-1, 1)) - plain_pictures(point, *size)).abs().max() < 1e-4


@pytest.mark.parametrize("cached", [1, 40, 200, 1000])
def test_chunks_give_what_one_chunk_gives(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other networks each time, and the chunks first: what memory still holds of a picture must not pass for another.
    point = networks(architecture(2, 8, 4, 3), 7, seed=cached)
    with monkeypatch.context() as patched:
        # The package's `render` is the function; the module of that name is found among all modules.
        patched.setattr(sys.modules["nfn_cli.pictures.render"], "_CACHED", cached)
        chunks = render(point, 6, 5, value_range=(-1, 1))
    assert torch.allclose(chunks, render(point, 6, 5, value_range=(-1, 1)), rtol=0, atol=1e-5)


def coordinate(axis: int) -> NetworkWeights:
    """A network whose one output is its input on this axis."""
    weight = torch.zeros(1, 1, 2)
    weight[..., axis] = 1
    return NetworkWeights(architecture(2, 1), {"0.weight": weight, "0.bias": torch.zeros(1, 1)})


def test_the_first_coordinate_is_the_row_and_grows_downwards() -> None:
    (rows,), (columns,) = (render(coordinate(axis), 5, 4, value_range=(-1, 1))[0] for axis in (0, 1))
    assert torch.allclose(rows[:, 0], torch.linspace(0, 1, 5)) and bool((rows == rows[:, :1]).all())
    assert torch.allclose(columns[0], torch.linspace(0, 1, 4)) and bool((columns == columns[:1]).all())


@pytest.mark.parametrize(
    ("value_range", "expected"),
    [((-1, 1), [0, 0.5, 1]), ((0, 1), [0, 0, 1]), ((-2, 2), [0.25, 0.5, 0.75]), ((1, -1), [1, 0.5, 0])],
)
def test_the_range_of_values_tells_black_and_white(value_range: tuple[float, float], expected: list[float]) -> None:
    found = render(coordinate(0), 3, 1, value_range=value_range)
    assert found.flatten().tolist() == pytest.approx(expected)


def test_values_that_are_no_numbers_are_black_and_infinite_ones_at_the_ends() -> None:
    point = coordinate(0)
    point.tensors["0.bias"].fill_(float("nan"))
    assert render(point, 3, 3, value_range=(-1, 1)).count_nonzero() == 0
    point = coordinate(0)
    point.tensors["0.weight"].mul_(3e38).mul_(10)
    assert render(point, 2, 1, value_range=(-1, 1)).flatten().tolist() == [0, 1]


def test_networks_stay_as_they_are_and_may_be_of_any_float_dtype() -> None:
    point = networks(architecture(2, 8, 1), 2)
    before = {name: tensor.clone() for name, tensor in point.tensors.items()}
    expected = render(point, 4, 4, value_range=(-1, 1))
    assert all(torch.equal(point.tensors[name], tensor) for name, tensor in before.items())
    double = NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    assert torch.equal(render(double, 4, 4, value_range=(-1, 1)), expected)
    half = NetworkWeights(point.architecture, {name: tensor.half() for name, tensor in point.tensors.items()})
    assert (render(half, 4, 4, value_range=(-1, 1)) - expected).abs().max() < 0.2


def test_what_is_no_picture_is_refused() -> None:
    convolution = chain([Layer("0", "conv", 1, 4, (3, 3)), Layer("1", "linear", 4, 1)], activation="relu")
    for other in (convolution, architecture(3, 8, 1), architecture(1, 8, 1)):
        with pytest.raises(ArchitectureError, match="two coordinates") as refused:
            require_picture(other, "net.pt")
        assert str(refused.value).startswith("net.pt: ")
        tensors = {spec.name: torch.zeros(1, *spec.shape) for spec in other.tensors}
        with pytest.raises(ArchitectureError, match="two coordinates"):
            render(NetworkWeights(other, tensors), 2, 2)
    require_picture(architecture(2, 8, 1, activation="relu"), "net.pt")


def test_no_network_gives_no_picture() -> None:
    point = NetworkWeights(architecture(2, 3, 1), networks(architecture(2, 3, 1), 1).tensors)
    empty = NetworkWeights(point.architecture, {name: tensor[:0] for name, tensor in point.tensors.items()})
    assert render(empty, 3, 4, value_range=(-1, 1)).shape == (0, 1, 3, 4)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (10**6, 10**6), (8193, 8192)])
def test_a_silly_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="--size: "):
        require_size(*size)
    require_size(8192, 8192)
    with pytest.raises(UsageError, match="3 channels are too many"):
        require_size(8192, 8192, channels=3)
