"""Moved weights, put back into the torch module that they came from, compute what it computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights, functional_forward, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.symmetry import act, sample_element

Deviation = Callable[[Tensor, Tensor], float]


class Case(NamedTuple):
    """A module, its activation, and the shape of its inputs."""

    module: Callable[[], nn.Module]
    activation: str
    inputs: tuple[int, ...]


class Sine(nn.Module):
    """sin(30 x), as in a SIREN."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.sin(30.0 * values)


def siren() -> nn.Module:
    """Three layers, initialised as by Sitzmann et al. 2020."""
    network = nn.Sequential(nn.Linear(2, 16), Sine(), nn.Linear(16, 16), Sine(), nn.Linear(16, 1))
    bound = (6 / 16) ** 0.5 / 30
    for layer in (network[2], network[4]):
        nn.init.uniform_(layer.weight, -bound, bound)
    return network


CASES = {
    "LeNet with ReLU and max pooling": Case(
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(8 * 4, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)),
        ),
        "relu",
        (1, 14, 14),
    ),
    "tanh and average pooling": Case(
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1, stride=2), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(6 * 9, 12), nn.Tanh(), nn.Linear(12, 5)),
        ),
        "tanh",
        (3, 12, 12),
    ),
    "leaky ReLU in one dimension": Case(
        lambda: nn.Sequential(nn.Conv1d(2, 6, 3), nn.LeakyReLU(), nn.Flatten(), nn.Linear(36, 12)), "leaky_relu", (2, 8)
    ),
    "ReLU in three dimensions": Case(
        lambda: nn.Sequential(
            nn.Conv3d(1, 6, 2, bias=False), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4)
        ),
        "relu",
        (1, 4, 4, 4),
    ),
    "SIREN": Case(siren, "sin", (2,)),
    "softsign": Case(lambda: nn.Sequential(nn.Linear(4, 9), nn.Softsign(), nn.Linear(9, 3)), "softsign", (4,)),
    "deep linear": Case(lambda: nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 9), nn.Linear(9, 3)), "identity", (4,)),
    "GELU": Case(lambda: nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 3)), "gelu", (4,)),
}


def read_back(module: nn.Module, path: Path, activation: str) -> NetworkWeights:
    save_file(module.state_dict(), path)
    return read_weights(read_checkpoint(path), activation=activation).weights


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_module_with_moved_weights_computes_the_same(
    case: Case, dtype: torch.dtype, most: float, tmp_path: Path, deviation: Deviation
) -> None:
    torch.manual_seed(0)
    module = case.module().to(dtype).eval()
    inputs = torch.randn(16, *case.inputs, dtype=dtype)
    point = read_back(module, tmp_path / "model.safetensors", case.activation)
    with torch.no_grad():
        before = module(inputs)
        for seed in range(3):
            moved = act(sample_element(point.architecture, torch.Generator().manual_seed(seed)), point)
            # A bias that the module lacks is zero before and after.
            lacking = moved.tensors.keys() - module.state_dict().keys()
            assert all(not moved.tensors[name].any() for name in lacking)
            own = {name: tensor for name, tensor in moved.tensors.items() if name not in lacking}
            assert not torch.equal(own["0.weight"], point.tensors["0.weight"])
            module.load_state_dict(own)
            assert deviation(module(inputs), before) <= most


@pytest.mark.parametrize(("activation", "module"), [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("gelu", nn.GELU())])
def test_what_batch_normalisation_was_folded_into_can_be_moved(
    activation: str, module: nn.Module, tmp_path: Path, deviation: Deviation
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), module, nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), module),
        *(nn.Flatten(), nn.Linear(32, 10), nn.BatchNorm1d(10, affine=False), module, nn.Linear(10, 3)),
    ).double()
    inputs = torch.randn(32, 1, 6, 6, dtype=torch.float64)
    for _ in range(20):  # in training mode, to gather running statistics
        network(3 * inputs + 1)
    for norm in (network[1], network[4]):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    network.eval()
    point = read_back(network, tmp_path / "model.safetensors", activation)
    moved = act(sample_element(point.architecture, torch.Generator().manual_seed(0)), point)
    with torch.no_grad():
        assert deviation(functional_forward(point, inputs), network(inputs)) <= 1e-12
        assert deviation(functional_forward(moved, inputs), network(inputs)) <= 1e-12
