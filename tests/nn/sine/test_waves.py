"""Layers with sines start as a network's own pass at some places, and never move with its symmetries."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.nn.inr.sine_chain import sine_values
from nfn_cli.nn.sine import MonomialInr, MonomialInrSizes, pack
from nfn_cli.nn.sine.waves import WaveBody, spread_places
from nfn_cli.symmetry import act, sample_element

OMEGA = 20.0


def siren(*sizes: int) -> Architecture:
    layers = [Layer(str(i), "linear", sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
    return chain(layers, activation="sin", omega_0=OMEGA)


def random_point(architecture: Architecture, networks: int) -> NetworkWeights:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        spec.name: torch.randn(networks, *spec.shape, generator=generator, dtype=torch.float64) / 8
        for spec in architecture.tensors
    }
    return NetworkWeights(architecture, tensors)


def rows(point: NetworkWeights) -> list[torch.Tensor]:
    return [point.tensors[spec.name] for spec in point.architecture.tensors]


ARCHITECTURES = [siren(2, 5, 1), siren(2, 5, 4, 1), siren(3, 4, 6, 5, 2), siren(1, 3, 4, 3, 5, 1)]


@pytest.mark.parametrize("more", [0, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_the_layers_start_as_the_networks_own_pass(architecture: Architecture, more: int) -> None:
    layers = len(architecture.hidden_widths) + more
    sizes = MonomialInrSizes(channels=12, equivariant_layers=layers, messages=True, sines=True, heads=3)
    body = MonomialInr(architecture, sizes, 3).double().body
    assert isinstance(body, WaveBody)
    tensors = rows(random_point(architecture, 4))
    found = body(pack(tensors, OMEGA)).invariant
    values = sine_values(tensors, spread_places(12, architecture.inputs).double(), OMEGA).mean(1)
    assert values.std() > 1e-2
    assert (found - values).abs().max() < 1e-6


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("messages", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_logits_do_not_move_wherever_the_parameters_are(architecture: Architecture, messages: bool, heads: int) -> None:
    torch.manual_seed(0)
    sizes = MonomialInrSizes(channels=4, messages=messages, hidden=8, sines=True, heads=heads)
    module = MonomialInr(architecture, sizes, 3).double().eval()
    with torch.no_grad():
        for parameter in module.body.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    point = random_point(architecture, 6)
    module.fit_normalisation(rows(point))
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(6,), phase=True)
    plain, moved = module(rows(point)), module(rows(act(element, point)))
    assert plain.std() > 1e-3
    assert (plain - moved).abs().max() < 1e-9


def test_the_first_layer_reads_no_constants_of_a_population() -> None:
    module = MonomialInr(siren(2, 5, 4, 1), MonomialInrSizes(channels=4, hidden=8, sines=True), 3)
    before = {name: values.clone() for name, values in module.body.state_dict().items()}
    module.fit_normalisation(module.encode(random_point(siren(2, 5, 4, 1), 6)))
    assert not any("standardise" in name for name, _ in module.named_buffers())
    assert all(torch.equal(values, before[name]) for name, values in module.body.state_dict().items())


def test_any_width_is_read_by_the_same_weights() -> None:
    sizes = MonomialInrSizes(channels=4, messages=True, hidden=8, sines=True)
    module, wide = MonomialInr(siren(2, 5, 4, 1), sizes, 3), siren(2, 9, 7, 1)
    assert module(module.encode(random_point(wide, 2))).shape == (2, 3)
    MonomialInr(wide, sizes, 3).load_state_dict(module.state_dict())


def test_no_parameter_is_idle() -> None:
    torch.manual_seed(0)
    architecture = siren(2, 5, 4, 1)
    module = MonomialInr(architecture, MonomialInrSizes(channels=4, messages=True, hidden=8, sines=True), 3).double()
    with torch.no_grad():
        for parameter in module.body.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    module(rows(random_point(architecture, 6)))[:, 0].sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.body.named_parameters() if parameter.numel()}
    assert [name for name, own in gradients.items() if own is None or not own.any()] == []


def test_places_are_spread_evenly() -> None:
    places = spread_places(64, 2)
    quarters = (places > 0).long() @ torch.tensor([2, 1])
    assert quarters.bincount().tolist() == [16, 16, 16, 16]
    assert torch.equal(places, spread_places(64, 2)) and places.abs().max() <= 1


def test_an_augmented_fit_sees_other_pictures_and_answers_do_not() -> None:
    architecture = siren(2, 5, 4, 1)
    sizes = MonomialInrSizes(channels=4, messages=True, hidden=8, dropout=0.0, sines=True, augment=True)
    module = MonomialInr(architecture, sizes, 3).double()
    inputs = rows(random_point(architecture, 6))
    module.spread.eval()
    first, second = module(inputs), module(inputs)
    assert (first - second).abs().max() > 1e-4
    module.eval()
    assert torch.equal(module(inputs), module(inputs))
    with pytest.raises(HeadError, match="no picture"):
        MonomialInr(siren(3, 5, 4, 1), sizes, 3)


@pytest.mark.parametrize("values", [{"augment": 1}, {"sines": 1}, {"heads": 0}, {"channels": 6, "heads": 4}])
def test_hostile_sizes_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        MonomialInrSizes(**values)  # type: ignore[arg-type]
