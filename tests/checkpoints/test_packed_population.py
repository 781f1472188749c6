"""Packed files: how many networks they hold, and what says so wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.checkpoints import POPULATION_KEY, population_of, read_members
from nfn_cli.errors import CheckpointError


def save(path: Path, count: str) -> Path:
    tensors = {"0.weight": torch.arange(24.0).view(2, 4, 3), "0.bias": torch.zeros(2, 4)}
    save_file(tensors, path, metadata={POPULATION_KEY: count})
    return path


def test_members_are_read_by_their_places(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", "2")
    assert population_of(path) == 2
    first, tensors = read_members(path, 1, 2)
    assert torch.equal(first.tensors["0.weight"], torch.arange(12.0, 24.0).view(4, 3))
    assert tensors["0.weight"].shape == (1, 4, 3)


@pytest.mark.parametrize("count", ["0", "-1", "-2", "1", "3", "many", "1e400"])
def test_a_count_that_does_not_fit_the_tensors_is_none(count: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", count)
    assert population_of(path) is None
    with pytest.raises(CheckpointError, match="not the packed population"):
        read_members(path, 0, 1)


def test_an_empty_axis_is_no_population(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"0.weight": torch.zeros(0, 4, 3)}, path, metadata={POPULATION_KEY: "0"})
    assert population_of(path) is None
