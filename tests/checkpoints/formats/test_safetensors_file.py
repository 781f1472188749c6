"""safetensors files: their headers, metadata and names."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.checkpoints import PackedError, read_checkpoint, rewrite_checkpoint
from nfn_cli.checkpoints.formats import safetensors_file
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]


def sample(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write a file of this format."""
    save_file(tensors, folder / "sample.safetensors")
    return folder / "sample.safetensors"


# A header of 19280 bytes begins with "PK", as a zip file does.
@pytest.mark.parametrize(
    "beginning", [b"PK", b"\x08\x07\x12", b"\x08\x08\x12", b"\x1f\x8b", b"\x80\x02", b"<!", b"{", b" {", b"\n{"]
)
def test_the_length_of_a_safetensors_header_may_begin_like_another_format(
    beginning: bytes, tmp_path: Path, raw_safetensors: Callable[..., bytes]
) -> None:
    (length,) = struct.unpack("<Q", beginning.ljust(8, b"\0"))
    header = {"fc.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw_safetensors(header, struct.pack("<f", 2.5), pad_to=length))
    assert path.read_bytes().startswith(beginning)
    assert read_checkpoint(path).tensors["fc.weight"].item() == 2.5


def test_known_metadata_of_a_safetensors_file_is_kept(tmp_path: Path, state_dict: StateDict) -> None:
    known = {"activation": "sin", "arch": "siren", "omega_0": "30", "pool": "max"}
    path = tmp_path / "model.safetensors"
    save_file(dict(state_dict), path, metadata={**known, "format": "pt", "author": "somebody"})
    assert read_checkpoint(path).metadata == known


def test_a_name_that_is_not_utf8_is_told_as_what_is_wrong_with_a_safetensors_file(
    tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    path = tmp_path / os.fsdecode(b"model-\xff.safetensors")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes only names that are UTF-8")
    write(tmp_path / "model", state_dict, "safetensors").replace(path)
    with pytest.raises(CheckpointError, match=r"name is not UTF-8.*rename it"):
        read_checkpoint(path)


def test_a_file_is_written_back_with_its_header(tmp_path: Path, state_dict: StateDict) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(dict(state_dict), path, metadata={"note": "kept"})
    new = {"stem.bias": torch.arange(4.0)}
    assert rewrite_checkpoint(read_checkpoint(path), new, out) == ()
    found = load_file(out)
    assert all(torch.equal(found[name], new.get(name, tensor)) for name, tensor in state_dict.items())
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"note": "kept"}


def test_places_are_where_the_bytes_are(tmp_path: Path, state_dict: StateDict) -> None:
    path = tmp_path / "model.safetensors"
    save_file(dict(state_dict), path)
    contents = safetensors_file.read(path, placed=True)
    content = path.read_bytes()
    for name, tensor in state_dict.items():
        start = contents.places[name].start
        assert content[start : start + tensor.numel() * 4] == tensor.numpy().tobytes()


def test_a_packed_population_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "zoo.safetensors"
    save_file({"fc.weight": torch.ones(3, 2, 2)}, path, metadata={"nfn.population": "3"})
    with pytest.raises(PackedError, match="a packed population of 3 networks"):
        read_checkpoint(path)
    assert list(safetensors_file.read_all(path).tensors) == ["fc.weight"]
