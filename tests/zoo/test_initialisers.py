"""Initial weights have the moments that their names promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.zoo import Hyperparameters
from nfn_cli.zoo.initialisers import initial_weight
from nfn_cli.zoo.small_cnn import SmallCnn

SHAPE = (64, 32, 3, 3)  # fan-in 288, fan-out 576
NAMES = ["normal", "truncated_normal", "orthogonal", "glorot_normal", "he_normal"]
# Standard deviation of a unit normal distribution that is cut at ±2.
CUT_STD = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def draw(name: str, scale: float = 0.1, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    return initial_weight(shape, name, scale, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("normal", 0.1),
        ("truncated_normal", 0.1 * CUT_STD),
        ("glorot_normal", math.sqrt(2 / (288 + 576))),
        ("he_normal", math.sqrt(2 / 288)),
    ],
)
def test_weights_have_mean_zero_and_the_nominal_standard_deviation(name: str, std: float) -> None:
    weight = draw(name)
    assert weight.std().item() == pytest.approx(std, rel=0.02)
    assert abs(weight.mean().item()) < 4 * std / math.sqrt(weight.numel())


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("truncated_normal", 0.2),
        ("glorot_normal", 2 * math.sqrt(2 / (288 + 576)) / CUT_STD),
        ("he_normal", 2 * math.sqrt(2 / 288) / CUT_STD),
    ],
)
def test_truncated_weights_end_at_two_standard_deviations(name: str, bound: float) -> None:
    largest = draw(name).abs().max().item()
    assert 0.97 * bound < largest <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (16, 1, 3, 3), (10, 16)])
def test_an_orthogonal_weight_is_orthogonal_over_its_flattened_fan_in(shape: tuple[int, ...]) -> None:
    matrix = draw("orthogonal", shape=shape).flatten(1)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_only_normal_weights_depend_on_the_scale(name: str) -> None:
    small, large = draw(name, scale=0.1), draw(name, scale=0.2)
    torch.testing.assert_close(large, 2 * small if name in ("normal", "truncated_normal") else small)


@pytest.mark.parametrize("name", NAMES)
def test_weights_follow_from_the_generator(name: str) -> None:
    assert torch.equal(draw(name, seed=1), draw(name, seed=1))
    assert not torch.equal(draw(name, seed=1), draw(name, seed=2))


def test_an_unknown_initialiser_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown initialiser 'zeros'"):
        draw("zeros")


def test_a_network_starts_the_same_in_any_group(runs: Callable[..., list[Hyperparameters]]) -> None:
    group = runs(5)
    together = SmallCnn().initial_parameters(group)
    for position, run in enumerate(group):
        assert torch.equal(together[position], SmallCnn().initial_parameters([run])[0])


def test_biases_start_at_zero_and_weights_do_not(runs: Callable[..., list[Hyperparameters]]) -> None:
    network = SmallCnn()
    for name, tensor in network.split(network.initial_parameters(runs(3))).items():
        assert bool((tensor == 0).all()) is name.endswith("bias")
