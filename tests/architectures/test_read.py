"""What comes out of a chain's checkpoint: biases, data types, weight normalisation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as parametrized_weight_norm

from nfn_cli.architectures import ReadNetwork, functional_forward
from nfn_cli.errors import ArchitectureError

Read = Callable[..., ReadNetwork]
Deviation = Callable[[Tensor, Tensor], float]


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_a_missing_bias_is_zero(format: str, read: Read) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    point = read(network, format).weights
    assert torch.equal(point.tensors["0.bias"], torch.zeros(3))
    assert [layer.has_bias for layer in point.architecture.layers] == [False, True]
    assert torch.equal(point.tensors["3.bias"], network[3].bias)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_weights_are_float64_where_the_file_has_them_else_float32(
    stored: torch.dtype, expected: torch.dtype, read: Read
) -> None:
    weight = torch.tensor([[0.5, -2.0, 1.0]]).to(stored)
    tensors = read({"0.weight": weight}, "torch").weights.tensors
    assert {tensor.dtype for tensor in tensors.values()} == {expected}
    assert tensors["0.weight"].tolist() == [[0.5, -2.0, 1.0]]


def test_a_bare_layer_is_a_network(read: Read) -> None:
    point = read(nn.Linear(3, 2)).weights
    assert point.architecture.describe() == "linear 3->2 (relu)"
    assert point.architecture.groups == ()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("normalise", [nn.utils.weight_norm, parametrized_weight_norm], ids=["hook", "parametrization"])
def test_weight_normalisation_is_multiplied_out(
    normalise: Callable[..., nn.Module], dim: int | None, format: str, read: Read, deviation: Deviation
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        normalise(nn.Conv1d(2, 3, 3), dim=dim), nn.ReLU(), nn.Flatten(), normalise(nn.Linear(12, 4), dim=dim)
    ).double()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("weight_g", "original0")):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    inputs = torch.randn(8, 2, 6, dtype=torch.float64)
    found = functional_forward(read(network, format).weights, inputs)
    assert deviation(found, network(inputs)) < 1e-12


@pytest.mark.parametrize(
    ("g", "v", "cause"),
    [
        (torch.ones(3, 1), torch.ones(2, 4), r"tensor 0.weight_g \(3x1\) belongs to no layer"),
        (torch.ones(2, 4), torch.ones(2, 4), "weight_g"),
        (torch.ones(2), torch.ones(2, 4), "weight_g"),
        (torch.ones(2, 1), torch.zeros(2, 4), "0 has a weight norm of zero"),
    ],
)
def test_a_weight_norm_that_does_not_fit_is_refused(g: Tensor, v: Tensor, cause: str, read: Read) -> None:
    with pytest.raises(ArchitectureError, match=cause):
        read({"0.weight_g": g, "0.weight_v": v})
