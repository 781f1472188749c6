"""Files of elements of chains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nfn_cli.architectures import Layer, chain
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry import load_element, sample_element, save_element

SIREN = chain([Layer("a", "linear", 2, 5), Layer("b", "linear", 5, 3), Layer("c", "linear", 3, 1)], activation="sin")


def renamed(path: Path, old: str, new: str) -> None:
    """Write a file again with another word in the names of its tensors."""
    with safe_open(path, "pt") as file:
        tensors = {name.replace(old, new): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    save_file(tensors, path, metadata)


@pytest.mark.parametrize("key", ["half_turns", "turns"])  # the latter in files of earlier versions
def test_half_turns_are_read_by_both_keys(key: str, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    element = sample_element(SIREN, torch.Generator().manual_seed(0), phase=True)
    assert any(bool(own.any()) for own in element.half_turns)
    save_element(path, element, SIREN)
    renamed(path, "half_turns", key)
    found = load_element(path, SIREN)
    for parts, own in ((found.permutations, element.permutations), (found.half_turns, element.half_turns)):
        assert all(torch.equal(one, other) for one, other in zip(parts, own, strict=True))


def test_a_file_without_half_turns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    save_element(path, sample_element(SIREN, torch.Generator().manual_seed(0), phase=True), SIREN)
    renamed(path, "half_turns", "others")
    with pytest.raises(CheckpointError, match="its half-turns are not 5 whole numbers"):
        load_element(path, SIREN)
