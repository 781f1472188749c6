"""`nfn apply`; where its files go is the matter of the tests of rewriting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_other_weights_are_the_same_network(nfn: Nfn, tmp_path: Path) -> None:
    old, new = TESTS / "samples" / "relu-1.safetensors", tmp_path / "new.safetensors"
    assert nfn("apply", old, "-o", new, "--seed", 1, "--activation", "relu", "--chain").code == 0
    assert not torch.allclose(load_file(old)["conv1.weight"], load_file(new)["conv1.weight"])
    assert nfn("verify", old, new, "--activation", "relu", "--chain").code == 0
