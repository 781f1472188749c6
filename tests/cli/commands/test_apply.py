"""`nfn apply`; where its files go is the matter of the tests of rewriting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_other_weights_are_the_same_network(nfn: Nfn, tmp_path: Path) -> None:
    old, new = TESTS / "samples" / "relu-1.safetensors", tmp_path / "new.safetensors"
    assert nfn("apply", old, "-o", new, "--seed", 1, "--activation", "relu", "--chain").code == 0
    assert not torch.allclose(load_file(old)["conv1.weight"], load_file(new)["conv1.weight"])
    assert nfn("verify", old, new, "--activation", "relu", "--chain").code == 0


@pytest.mark.parametrize("arguments", [["apply", "--seed", "1"], ["canonicalize"]])
def test_an_element_is_not_saved_in_the_file_of_the_network(arguments: list[str], nfn: Nfn, tmp_path: Path) -> None:
    old, new = TESTS / "samples" / "relu-1.safetensors", tmp_path / "new.safetensors"
    finished = nfn(*arguments, old, "-o", new, "--save-element", new, "--overwrite")
    assert finished.code == 2
    assert "is the file that the network is written to" in finished.err
    assert not list(tmp_path.iterdir())
