"""Pictures whose black and white are other numbers are read, and edited, as what they show."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nfn_cli import classify
from nfn_cli.architectures import (
    NetworkWeights,
    from_plain_range,
    functional_forward,
    read_weights,
    to_plain_range,
)
from nfn_cli.checkpoints import read_checkpoint, save_tensors
from nfn_cli.nn import load_head
from nfn_cli.scoring.editing import edited_tensors

SAMPLE = Path(__file__).parents[1] / "inrs" / "mnist-3.safetensors"
RANGES = [(0.0, 1.0), (-0.5, 0.5), (1.0, -1.0), (3.0, 255.0)]


def sample() -> NetworkWeights:
    point = read_weights(read_checkpoint(SAMPLE)).weights
    return NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})


@pytest.fixture(params=RANGES)
def shown(request: pytest.FixtureRequest) -> tuple[float, float]:
    found: tuple[float, float] = request.param
    return found


@pytest.fixture
def other(shown: tuple[float, float], tmp_path: Path) -> Path:
    """The sample, saved as a network of another range."""
    point = from_plain_range(sample(), shown)
    facts = {"activation": "sin", "value_range": f"{shown[0]} {shown[1]}"}
    path = tmp_path / "other.safetensors"
    save_tensors(path, dict(point.tensors), facts)
    return path


def test_black_and_white_are_what_they_were(shown: tuple[float, float]) -> None:
    point, (low, high) = sample(), shown
    places = torch.rand(64, 2, dtype=torch.float64) * 2 - 1
    values = functional_forward(point, places)
    moved = from_plain_range(point, shown)
    assert torch.allclose(functional_forward(moved, places), low + (values + 1) / 2 * (high - low), atol=1e-9)
    assert torch.allclose(functional_forward(to_plain_range(moved, shown), places), values, atol=1e-9)
    assert to_plain_range(point, None) is point and to_plain_range(point, (-1.0, 1.0)) is point


def test_the_class_is_that_of_what_the_network_shows(other: Path) -> None:
    (expected,), (found,) = classify([str(SAMPLE)]), classify([str(other)])
    assert (found.label, found.head) == (expected.label, expected.head)
    assert found.probability == pytest.approx(expected.probability, abs=1e-4)
    assert found.distance == pytest.approx(expected.distance, abs=1e-3)


def test_an_edit_keeps_the_range(other: Path, shown: tuple[float, float]) -> None:
    head = load_head("dilate-mnist").to(torch.float64)
    first, second = read_checkpoint(SAMPLE), read_checkpoint(other)
    plain, _ = edited_tensors(first, read_weights(first), head)
    found, _ = edited_tensors(second, read_weights(second), head)
    architecture = read_weights(second).weights.architecture
    back = to_plain_range(NetworkWeights(architecture, found), shown)
    places = torch.rand(64, 2, dtype=torch.float64) * 2 - 1
    double = {name: tensor.double() for name, tensor in plain.items()}
    expected = functional_forward(NetworkWeights(sample().architecture, double), places)
    assert torch.allclose(functional_forward(back, places), expected, atol=1e-3)


def test_what_is_no_picture_stays_as_it_is(shown: tuple[float, float]) -> None:
    path = SAMPLE.parents[1] / "samples" / "relu-1.safetensors"
    point = read_weights(read_checkpoint(path)).weights
    assert to_plain_range(point, shown) is point and from_plain_range(point, shown) is point
