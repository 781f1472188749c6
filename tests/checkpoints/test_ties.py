"""Tensors that are one memory are told, and views beside each other are not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from nfn_cli.checkpoints import read_checkpoint, torch_format
from nfn_cli.checkpoints.formats import safetensors_file
from nfn_cli.checkpoints.ties import Ties, shared_memory

Write = Callable[..., Path]
BASE = torch.randn(6, 6)


@pytest.mark.parametrize(
    ("tensors", "ties"),
    [
        ({"a": BASE, "b": BASE}, (("a", "b"),)),
        ({"b": BASE, "a": BASE.T}, (("b", "a"),)),
        ({"a": BASE, "b": BASE.clone()}, ()),
        ({"a": BASE[:3], "b": BASE[3:]}, ()),
        ({"a": BASE[:4], "b": BASE[3:]}, (("a", "b"),)),
        ({"a": BASE[:, :3], "b": BASE[:, 3:]}, ()),
        ({"a": BASE[:, :3], "b": BASE[:, 2:]}, (("a", "b"),)),
        ({"a": BASE[::2], "b": BASE[1::2], "c": BASE[0]}, (("a", "c"),)),
        ({"x": BASE[:2], "flat": BASE.view(-1), "y": BASE[2:]}, (("x", "flat", "y"),)),
        ({"a": BASE, "b": BASE, "other": torch.eye(6), "c": BASE}, (("a", "b", "c"),)),
        ({"a": BASE[:2], "b": BASE[:2], "c": BASE[4:], "d": BASE[4:]}, (("a", "b"), ("c", "d"))),
        ({"a": BASE[:0], "b": BASE}, ()),
    ],
    ids=[
        "same", "transposed", "equal", "rows", "common row", "columns", "common column", "interleaved", "flat",
        "three", "two pairs", "empty",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mapped", [False, True])
def test_entries_in_common_are_a_tie(
    tensors: dict[str, Tensor],
    ties: Ties,
    mapped: bool,
    torch_format_name: str,
    tmp_path: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_format, "MAPPED_FROM", 0 if mapped else 1 << 40)
    saved = {f"module.{name}.weight": tensor for name, tensor in tensors.items()}
    path = write(tmp_path / "model.pt", saved, torch_format_name)
    found = read_checkpoint(path).ties
    assert found == tuple(tuple(f"{name}.weight" for name in group) for group in ties)
    assert shared_memory(tensors) == ties


@pytest.fixture(params=["torch", "torch-legacy"])
def torch_format_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Tied(nn.Module):
    """Two layers of one weight, and one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.second.weight = self.first.weight


@pytest.mark.parametrize("large", [False, True])
def test_ties_of_a_safetensors_file_are_told_by_its_metadata(
    large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_file, "MAPPED_FROM", 0 if large else 1 << 40)
    save_model(nn.Sequential(OrderedDict(module=Tied())), str(tmp_path / "model.safetensors"))
    checkpoint = read_checkpoint(tmp_path / "model.safetensors")
    assert checkpoint.ties == (("first.weight", "second.weight"),)
    assert "first.weight" in checkpoint.tensors and "second.weight" not in checkpoint.tensors


def test_other_metadata_ties_nothing(tmp_path: Path) -> None:
    tensors = {"fc.weight": torch.eye(3), "fc.bias": torch.ones(3)}
    metadata = {"format": "pt", "note": "fc", "fc.bias": "fc.weight", "gone": "fc.other"}
    save_file(tensors, tmp_path / "model.safetensors", metadata=metadata)
    assert read_checkpoint(tmp_path / "model.safetensors").ties == ()


def test_shards_may_share_memory_within_a_file(tmp_path: Path) -> None:
    torch.save({"a.weight": BASE, "b.weight": BASE}, tmp_path / "part.bin")
    (tmp_path / "m.index.json").write_text('{"weight_map": {"a.weight": "part.bin", "b.weight": "part.bin"}}')
    assert read_checkpoint(tmp_path).ties == (("a.weight", "b.weight"),)
