"""`nfn canonicalize`; where its files go is the matter of the tests of rewriting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_networks_of_one_orbit_get_the_same_weights(nfn: Nfn, tmp_path: Path) -> None:
    reading = ["--activation", "relu", "--chain"]
    one, other = TESTS / "samples" / "relu-1.safetensors", tmp_path / "other.safetensors"
    assert nfn("apply", one, "-o", other, "--seed", 1, *reading).code == 0
    for path, out in ((one, "a.safetensors"), (other, "b.safetensors")):
        assert nfn("canonicalize", path, "-o", tmp_path / out, *reading).code == 0
    found, expected = load_file(tmp_path / "b.safetensors"), load_file(tmp_path / "a.safetensors")
    assert all(torch.allclose(found[name], own, atol=1e-5) for name, own in expected.items())
