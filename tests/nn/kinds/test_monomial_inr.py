"""Layers for sine networks commute with permutations, signs and phase shifts, and are smooth where phases wrap."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.nn.sine import MonomialEditor, MonomialEditorSizes, MonomialInr, MonomialInrSizes, lifted, pack
from nfn_cli.symmetry import act, sample_element

OMEGA = 30.0


def siren(*sizes: int) -> Architecture:
    layers = [Layer(str(i), "linear", sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
    return chain(layers, activation="sin", omega_0=OMEGA)


def random_point(architecture: Architecture, networks: int, seed: int = 0) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        spec.name: torch.randn(networks, *spec.shape, generator=generator, dtype=torch.float64) / 4
        for spec in architecture.tensors
    }
    return NetworkWeights(architecture, tensors)


def rows(point: NetworkWeights) -> list[torch.Tensor]:
    return [point.tensors[spec.name] for spec in point.architecture.tensors]


ARCHITECTURES = [siren(2, 5, 1), siren(2, 5, 4, 3), siren(3, 4, 6, 5, 2)]


@pytest.mark.parametrize("messages", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_logits_do_not_move(architecture: Architecture, messages: bool) -> None:
    torch.manual_seed(0)
    sizes = MonomialInrSizes(channels=4, messages=messages, hidden=8)
    module = MonomialInr(architecture, sizes, 3).double().eval()
    point = random_point(architecture, 6)
    module.fit_normalisation(rows(point))
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(6,), phase=True)
    plain, moved = module(rows(point)), module(rows(act(element, point)))
    assert plain.std() > 1e-3
    assert (plain - moved).abs().max() < 1e-10


def test_nothing_jumps_where_a_phase_wraps() -> None:
    architecture = siren(2, 4, 3, 1)
    torch.manual_seed(0)
    module = MonomialInr(architecture, MonomialInrSizes(channels=4, messages=True, hidden=8), 3).double().eval()
    point = random_point(architecture, 1)
    for phase in (math.pi / 2, math.pi):
        outputs = []
        for side in (-1e-9, 1e-9):
            tensors = {name: tensor.clone() for name, tensor in point.tensors.items()}
            tensors["0.bias"][0, 1] = (phase + side) / OMEGA
            outputs.append(module(rows(NetworkWeights(architecture, tensors))))
        assert (outputs[0] - outputs[1]).abs().max() < 1e-6


@pytest.mark.parametrize("phase", [math.pi / 2, math.pi])
def test_reading_does_not_jump_where_a_phase_wraps(phase: float) -> None:
    architecture = siren(2, 4, 3, 1)
    torch.manual_seed(0)
    module = MonomialInr(architecture, MonomialInrSizes(channels=4, messages=True, hidden=8), 3).eval()
    point = random_point(architecture, 1)
    outputs = []
    for side in (-1e-9, 1e-9):
        tensors = {name: tensor.clone() for name, tensor in point.tensors.items()}
        tensors["0.bias"][0, 1] = (phase + side) / OMEGA
        outputs.append(module(module.encode(NetworkWeights(architecture, tensors))))
    assert outputs[0].std() > 1e-3
    assert (outputs[0] - outputs[1]).abs().max() < 1e-5


def test_large_biases_lose_nothing() -> None:
    architecture = siren(2, 5, 4, 1)
    module = MonomialInr(architecture, MonomialInrSizes(), 3)
    point = random_point(architecture, 3)
    turn = 2 * math.pi / OMEGA
    far = {
        name: tensor + 10_000 * turn if name in ("0.bias", "1.bias") else tensor
        for name, tensor in point.tensors.items()
    }
    for near, other in zip(module.encode(point), module.encode(NetworkWeights(architecture, far)), strict=True):
        assert (near - other).abs().max() < 1e-7


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_lifting_the_packed_fields_gives_the_weights_back(architecture: Architecture) -> None:
    tensors = rows(random_point(architecture, 3))
    fields = pack(tensors, OMEGA)
    biases = [
        torch.cat([values, torch.zeros_like(tensors[2 * i + 1])[..., None]], dim=-1)
        for i, values in enumerate(fields.vectors)
    ]
    changes = lifted(replace(fields, vectors=tuple(biases)), tensors, OMEGA)
    for position, (change, tensor) in enumerate(zip(changes, tensors, strict=True)):
        hidden_bias = position % 2 and position + 1 < len(tensors)
        assert (change - (0 if hidden_bias else tensor)).abs().max() < 1e-12


def test_float32_logits_keep_the_promised_drift() -> None:
    architecture = siren(2, 32, 32, 1)
    torch.manual_seed(0)
    module = MonomialInr(architecture, MonomialInrSizes(channels=8, hidden=32), 10).eval()
    point = random_point(architecture, 200)
    module.fit_normalisation(module.encode(point))
    element = sample_element(architecture, torch.Generator().manual_seed(3), batch=(200,), phase=True)
    with torch.no_grad():
        plain, moved = module(module.encode(point)), module(module.encode(act(element, point)))
    # Nobody has fitted this readout, so its logits hardly spread; those of shipped heads keep 1e-5.
    assert (plain - moved).abs().max() / plain.std(0).mean() < 3e-5


def test_any_width_is_read_by_the_same_weights() -> None:
    module = MonomialInr(siren(2, 5, 4, 1), MonomialInrSizes(channels=4, messages=True, hidden=8), 3)
    wide = siren(2, 9, 7, 1)
    assert module(module.encode(random_point(wide, 2))).shape == (2, 3)
    again = MonomialInr(wide, MonomialInrSizes(channels=4, messages=True, hidden=8), 3)
    again.load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    "architecture",
    [
        chain([Layer("0", "linear", 2, 4), Layer("1", "linear", 4, 1)], activation="tanh"),
        chain([Layer("0", "linear", 2, 1)], activation="sin"),
        chain([Layer("0", "conv", 1, 2, (3, 3)), Layer("1", "linear", 2, 1)], activation="sin"),
    ],
    ids=str,
)
def test_other_networks_are_refused(architecture: Architecture) -> None:
    with pytest.raises(HeadError, match="no chain"):
        MonomialInr(architecture, MonomialInrSizes(), 3)
    with pytest.raises(HeadError, match="no chain"):
        MonomialEditor(architecture, MonomialEditorSizes())


@pytest.mark.parametrize("values", [{"channels": 0}, {"messages": 1}, {"dropout": 1.0}])
def test_hostile_sizes_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        MonomialInrSizes(**values)  # type: ignore[arg-type]
