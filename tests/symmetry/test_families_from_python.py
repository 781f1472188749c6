"""`families` of folders, paths, and named networks in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from nfn_cli import NfnError, canonicalize, families

SAMPLES = Path(__file__).parents[1] / "samples"


def test_a_folder_and_paths(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "relu-1.safetensors", tmp_path / "a.safetensors")
    shutil.copy(SAMPLES / "relu-1.safetensors", tmp_path / "b.safetensors")
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    found = families(tmp_path)
    assert [own.relation.value for own in found.members] == ["first", "copy"]
    assert [Path(own.path).name for own in found.failed] == ["bad.pt"]
    assert families([tmp_path / "a.safetensors", str(tmp_path / "b.safetensors")]).members == found.members
    with pytest.raises(NfnError, match="no checkpoint in this folder"):
        families([tmp_path / "a.safetensors", tmp_path / "nothing", SAMPLES.parent / "helpers"])


def test_networks_in_memory() -> None:
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2)) for _ in "ab")
    named = {"one": one, "state": one.state_dict(), "other": other, "normal": canonicalize(one), "none": "gone.pt"}
    found = families(named, activation="tanh", most_pairs=0)
    assert {own.path: (own.relation.value, own.of) for own in found.members} == {
        "one": ("first", None),
        "state": ("copy", "one"),
        "normal": ("disguised", "one"),
        "other": ("stranger", None),
    }
    assert [own.path for own in found.failed] == ["none"]
    with pytest.raises(NfnError, match="networks: is one state dict"):
        families(one.state_dict())
