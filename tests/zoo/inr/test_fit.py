"""The fit of SIRENs: its written-out gradient is the true one, and it reproduces pictures."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain, functional_forward, pixel_grid
from nfn_cli.zoo import Siren
from nfn_cli.zoo.inr.fit import Engine, fit_sirens, peak_signal_to_noise

SHAPES = [(1, 4, 1), (1, 8, 2), (3, 5, 2), (1, 3, 3), (2, 6, 4)]  # channels, width, hidden layers


def architecture_of(siren: Siren) -> Architecture:
    """The same network as the rest of the package knows it."""
    sizes = [2, *[siren.width] * siren.hidden_layers, siren.channels]
    layers = [
        Layer(f"layers.{i}", "linear", before, after) for i, (before, after) in enumerate(itertools.pairwise(sizes))
    ]
    return chain(layers, activation="sin", omega_0=siren.omega_0)


def plain_values(siren: Siren, parameters: Tensor, places: Tensor) -> Tensor:
    """[networks, channels, places], as anyone would write it."""
    parts = list(siren.split(parameters).values())
    hidden = places.expand(len(parameters), -1, -1)
    for weight, bias in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        hidden = torch.sin(siren.omega_0 * (hidden @ weight.mT + bias[:, None]))
    return (hidden @ parts[-2].mT + parts[-1][:, None]).mT


def problem(siren: Siren, networks: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters, pictures and places in float64."""
    generator = torch.Generator().manual_seed(1)
    start = torch.stack([siren.initial(generator) for _ in range(networks)]).double()
    pictures = torch.rand(networks, siren.channels, 30, generator=generator, dtype=torch.float64) * 2 - 1
    return start, pictures, pixel_grid(5, 6).double()


@pytest.mark.parametrize("omega_0", [1.0, 30.0])
@pytest.mark.parametrize(("channels", "width", "hidden_layers"), SHAPES)
def test_the_gradient_is_that_of_autograd(channels: int, width: int, hidden_layers: int, omega_0: float) -> None:
    siren = Siren(channels, width, hidden_layers, omega_0)
    start, pictures, places = problem(siren)
    engine = Engine(siren, start.clone(), pictures, places)
    engine.differentiate()
    known = start.clone().requires_grad_()
    errors = (plain_values(siren, known, places) - pictures).square().mean((1, 2))
    errors.sum().backward()
    assert known.grad is not None
    assert torch.allclose(engine.errors(), errors.detach(), rtol=1e-12)
    assert (engine.gradient - known.grad).abs().max() < 1e-12 * known.grad.abs().max()
    # The buffers are used again: a second step is not disturbed by the first.
    engine.differentiate()
    assert (engine.gradient - known.grad).abs().max() < 1e-12 * known.grad.abs().max()


def test_the_gradient_follows_the_parameters() -> None:
    siren = Siren(1, 4)
    start, pictures, places = problem(siren)
    engine = Engine(siren, start.clone(), pictures, places)
    engine.differentiate()
    before = engine.gradient.clone()
    engine.parameters += 0.01
    engine.differentiate()
    fresh = Engine(siren, start + 0.01, pictures, places)
    fresh.differentiate()
    assert torch.allclose(engine.gradient, fresh.gradient, rtol=1e-12, atol=0)
    assert not torch.allclose(engine.gradient, before)


@pytest.mark.parametrize(("channels", "width", "hidden_layers"), SHAPES)
def test_the_network_is_the_one_that_the_package_runs(channels: int, width: int, hidden_layers: int) -> None:
    siren = Siren(channels, width, hidden_layers)
    start, pictures, places = problem(siren, 1)
    architecture = architecture_of(siren)
    assert {spec.name: spec.shape for spec in architecture.tensors} == siren.shapes
    point = NetworkWeights(architecture, siren.split(start[0]))
    values = functional_forward(point, places).T
    assert torch.allclose(values, plain_values(siren, start, places)[0], rtol=1e-10)
    assert Engine(siren, start, pictures, places).errors().item() == pytest.approx(
        (values - pictures[0]).square().mean().item()
    )


def test_a_scale_is_that_of_the_initial_weights_and_not_of_the_biases() -> None:
    siren = Siren(1, width=4)
    plain, larger = (siren.split(siren.initial(torch.Generator().manual_seed(0), scale)) for scale in (1.0, 2.0))
    for name, values in plain.items():
        assert torch.equal(larger[name], values * (2 if name.endswith("weight") else 1))


def test_new_networks_have_the_bounds_of_the_paper() -> None:
    siren = Siren(3, 50, 3, omega_0=10.0)
    tensors = siren.split(siren.initial(torch.Generator().manual_seed(0)))
    bounds = {
        "layers.0.weight": 1 / 2,
        "layers.0.bias": 1 / math.sqrt(2),
        "layers.1.weight": math.sqrt(6 / 50) / 10,
        "layers.1.bias": 1 / math.sqrt(50),
        "layers.3.weight": math.sqrt(6 / 50) / 10,
        "layers.3.bias": 1 / math.sqrt(50),
    }
    for name, bound in bounds.items():
        largest = tensors[name].abs().max().item()
        # Three values may all be small; fifty are not.
        assert largest <= bound and (tensors[name].numel() < 50 or largest > 0.9 * bound)
        assert tensors[name].numel() < 50 or tensors[name].min() < 0 < tensors[name].max()


@pytest.mark.parametrize(("error", "decibels"), [(4.0, 0.0), (0.04, 20.0), (4e-5, 50.0)])
def test_psnr_is_of_a_range_of_two(error: float, decibels: float) -> None:
    assert peak_signal_to_noise(torch.tensor([error])).item() == pytest.approx(decibels, abs=1e-4)


def test_psnr_of_a_perfect_picture_is_finite() -> None:
    assert peak_signal_to_noise(torch.zeros(2)).isfinite().all()
    assert not peak_signal_to_noise(torch.tensor([math.inf])).isfinite()


def smooth(channels: int, side: int = 12) -> tuple[Tensor, Tensor]:
    """Two pictures [2, channels, pixels], one a wave and one a soft disc, and their places."""
    places = pixel_grid(side, side)
    rows, columns = places.unbind(1)
    wave = torch.sin(3 * rows + 2 * columns)
    disc = torch.tanh(4 * (0.6 - (rows**2 + columns**2).sqrt()))
    return torch.stack([wave, disc])[:, None] * torch.linspace(1, -0.5, channels)[:, None], places


@pytest.mark.parametrize("channels", [1, 3])
def test_smooth_pictures_are_reproduced(channels: int) -> None:
    siren, (pictures, places) = Siren(channels, 16), smooth(channels)
    start = torch.stack([siren.initial(torch.Generator().manual_seed(seed)) for seed in range(2)])
    kept = start.clone()
    fitted = fit_sirens(siren, start, pictures, places, 150, 6e-3)
    psnr = peak_signal_to_noise(Engine(siren, fitted, pictures, places).errors())
    assert psnr.min() > 30
    assert peak_signal_to_noise(Engine(siren, start, pictures, places).errors()).max() < 15
    assert torch.equal(start, kept)  # the caller's networks are left alone


def test_every_network_is_fitted_to_its_own_picture_alone() -> None:
    siren, (pictures, places) = Siren(1, 8), smooth(1, 8)
    start = torch.stack([siren.initial(torch.Generator().manual_seed(seed)) for seed in range(2)]).double()
    pictures, places = pictures.double(), places.double()
    both = fit_sirens(siren, start, pictures, places, 20, 6e-3)
    for i in range(2):
        alone = fit_sirens(siren, start[i : i + 1], pictures[i : i + 1], places, 20, 6e-3)
        assert torch.allclose(both[i], alone[0], atol=1e-9)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


@pytest.mark.parametrize("steps", [1, 9, 10, 25])
def test_network_steps_are_told(steps: int) -> None:
    siren, (pictures, places) = Siren(1, 3), smooth(1, 4)
    start = torch.stack([siren.initial(torch.Generator().manual_seed(seed)) for seed in range(2)])
    told: list[int] = []
    fit_sirens(siren, start, pictures, places, steps, 1e-3, told.append)
    assert sum(told) == 2 * steps and all(told)
