"""PyTorch files of the old format: read whole, and written back in the new one."""

from __future__ import annotations

import argparse
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import PartedTensors, open_checkpoint, read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError

StateDict = OrderedDict[str, Tensor]


def sample(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write a file of this format."""
    return saved(folder, tensors)


def saved(folder: Path, loaded: object) -> Path:
    path = folder / "in.pt"
    torch.save(loaded, path, _use_new_zipfile_serialization=False)
    return path


def negated(tensors: StateDict) -> dict[str, Tensor]:
    return {name: -tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("opened", [read_checkpoint, open_checkpoint])
def test_it_is_written_back_as_a_zip_file(opened: object, tmp_path: Path, state_dict: StateDict) -> None:
    path, out = saved(tmp_path, {"model": state_dict, "moments": torch.ones(2)}), tmp_path / "out.pt"
    assert rewrite_checkpoint(opened(path), negated(state_dict), out) == ("moments",)  # type: ignore[operator]
    assert zipfile.is_zipfile(out)
    found = torch.load(out, weights_only=True)
    assert list(found["model"]) == list(state_dict)
    assert all(torch.equal(found["model"][name], -tensor) for name, tensor in state_dict.items())
    assert torch.equal(found["moments"], torch.ones(2))


class Rows(PartedTensors):
    """Tensors row by row; the last rows may be missing."""

    def __init__(self, tensors: dict[str, Tensor], missing: int = 0) -> None:
        self.tensors, self.missing = tensors, missing

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def parts(self, name: str) -> Iterator[Tensor]:
        rows = torch.atleast_1d(self.tensors[name])
        yield from rows[: len(rows) - self.missing].split(1)


def test_tensors_may_come_in_parts(tmp_path: Path, state_dict: StateDict) -> None:
    state = OrderedDict(state_dict, scale=torch.tensor(0.5), empty=torch.zeros(0, 3))
    path, out = saved(tmp_path, state), tmp_path / "out.pt"
    rewrite_checkpoint(read_checkpoint(path), Rows(negated(state)), out)
    found = torch.load(out, weights_only=True)
    assert {name: tensor.shape for name, tensor in found.items()} == {name: own.shape for name, own in state.items()}
    assert all(torch.equal(found[name], -tensor) for name, tensor in state.items())
    with pytest.raises(ValueError, match="3 of 4 rows"):
        rewrite_checkpoint(read_checkpoint(path), Rows(negated(state_dict), missing=1), tmp_path / "half.pt")
    assert not (tmp_path / "half.pt").exists()


def test_tensors_that_share_memory_go_on_sharing_it(tmp_path: Path) -> None:
    tied = torch.ones(3, 3)
    path, out = saved(tmp_path, {"a.weight": tied, "b.weight": tied}), tmp_path / "out.pt"
    new = -tied
    rewrite_checkpoint(read_checkpoint(path), {"a.weight": new, "b.weight": new}, out)
    assert read_checkpoint(out).ties == (("a.weight", "b.weight"),)


def test_a_file_with_objects_is_not_written_back_in_part(tmp_path: Path, state_dict: StateDict) -> None:
    path = saved(tmp_path, {"model": state_dict, "args": argparse.Namespace(a=1)})
    with pytest.raises(CheckpointError, match=r"objects that nfn does not read, which would be lost; load it and save"):
        rewrite_checkpoint(read_checkpoint(path), negated(state_dict), tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == [path]
