"""A file that is cut off anywhere is refused, never half read."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]


def cuts(size: int) -> list[int]:
    """Lengths to cut to: every one near the ends, where formats keep their headers, and some between."""
    between = range(128, size, max(1, size // 64))
    return sorted({*range(min(size, 128)), *between, *range(max(0, size - 64), size)})


def test_a_file_cut_off_anywhere_is_refused(
    format: str, tmp_path: Path, state_dict: OrderedDict[str, Tensor], write: Write
) -> None:
    whole = write(tmp_path / "whole", state_dict, format).read_bytes()
    path = tmp_path / "cut.pt"
    for length in cuts(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt: "):
            read_checkpoint(path)
            pytest.fail(f"read {length} of {len(whole)} bytes")


def test_an_index_cut_off_anywhere_is_refused(
    tmp_path: Path, state_dict: OrderedDict[str, Tensor], write: Write
) -> None:
    write(tmp_path / "shard", state_dict, "safetensors")
    whole = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(state_dict, "shard")}, indent=2).encode()
    path = tmp_path / "model.index.json"
    path.write_bytes(whole)
    assert set(read_checkpoint(path).tensors) == set(state_dict)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model\.index\.json: "):
            read_checkpoint(path)


def test_a_hole_instead_of_the_data_is_refused(
    torch_format: str, tmp_path: Path, state_dict: OrderedDict[str, Tensor], write: Write
) -> None:
    """Some programs that copy files reserve the room first: the beginning is right, the rest is zeros."""
    whole = write(tmp_path / "whole", state_dict, torch_format).read_bytes()
    path = tmp_path / "hole.pt"
    path.write_bytes(whole[:300] + bytes(len(whole) - 300))
    with pytest.raises(CheckpointError, match=r"truncated(,| or) damaged"):
        read_checkpoint(path)
