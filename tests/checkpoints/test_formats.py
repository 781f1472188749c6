"""Each format is told from the bytes and gives back what was saved."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import read_checkpoint, torch_format
from nfn_cli.checkpoints.formats import safetensors_file

Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]


def same(read: object, saved: dict[str, Tensor]) -> bool:
    """Same names, kinds of number and entries, bit for bit."""
    assert isinstance(read, dict)
    return set(read) == set(saved) and all(
        read[name].dtype == tensor.dtype and torch.equal(read[name], tensor) for name, tensor in saved.items()
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".index.json", ".txt", ""])
def test_the_bytes_tell_the_format_whatever_the_suffix(
    suffix: str, format: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    path = write(tmp_path / f"model{suffix}", state_dict, format)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.path, checkpoint.format) == (path, format)
    assert same(checkpoint.tensors, state_dict)


def test_an_index_with_a_brace_as_its_ninth_byte_is_no_safetensors_file(
    tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    write(tmp_path / "a.bin", {"stem.weight": state_dict["stem.weight"]}, "torch")
    path = tmp_path / "model.index.json"
    path.write_text('{"meta":{}, "weight_map": {"stem.weight": "a.bin"}}')
    assert path.read_bytes()[8:9] == b"{"
    assert list(read_checkpoint(path).tensors) == ["stem.weight"]


def test_a_path_may_be_a_string(format: str, tmp_path: Path, state_dict: StateDict, write: Write) -> None:
    path = write(tmp_path / "model", state_dict, format)
    assert same(read_checkpoint(str(path)).tensors, state_dict)


def test_only_pytorch_files_keep_the_order_of_the_module(
    format: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    checkpoint = read_checkpoint(write(tmp_path / "model", state_dict, format))
    assert checkpoint.ordered == (format != "safetensors")
    assert (list(checkpoint.tensors) == list(state_dict)) or not checkpoint.ordered


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_real_precision_is_read_as_it_is(
    dtype: torch.dtype, format: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    saved = {name: tensor.to(dtype) for name, tensor in state_dict.items()}
    assert same(read_checkpoint(write(tmp_path / "model", saved, format)).tensors, saved)


def test_integers_truth_values_scalars_and_empty_tensors_may_stand_beside_weights(
    format: str, tmp_path: Path, write: Write
) -> None:
    saved = {
        "fc.weight": torch.eye(3),
        "position_ids": torch.arange(4).reshape(2, 2),
        "mask": torch.tensor([True, False]),
        "num_batches_tracked": torch.tensor(7),
        "temperature": torch.tensor(0.5),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "empty": torch.zeros(0, 5),
    }
    assert same(read_checkpoint(write(tmp_path / "model", saved, format)).tensors, saved)


def test_names_may_be_any_unicode(format: str, tmp_path: Path, write: Write) -> None:
    saved = {"слой.вес": torch.eye(2), "層.重み": torch.eye(3), "🧠": torch.ones(1), "a b\tc": torch.ones(2)}
    assert same(read_checkpoint(write(tmp_path / "模型", saved, format)).tensors, saved)


def test_tied_tensors_are_read_under_each_name(torch_format: str, tmp_path: Path, write: Write) -> None:
    tied = torch.randn(3, 3)
    saved = {"encoder.weight": tied, "decoder.weight": tied, "part.weight": tied[1:], "turned.weight": tied.T}
    assert same(read_checkpoint(write(tmp_path / "model.pt", saved, torch_format)).tensors, saved)


def test_parameters_become_plain_tensors_without_gradient(torch_format: str, tmp_path: Path, write: Write) -> None:
    weight = torch.nn.Parameter(torch.eye(2))
    read = read_checkpoint(write(tmp_path / "model.pt", {"fc.weight": weight}, torch_format)).tensors["fc.weight"]
    assert type(read) is Tensor
    assert not read.requires_grad
    assert torch.equal(read, torch.eye(2))


def test_a_file_of_a_big_endian_machine_is_read(tmp_path: Path, write: Write) -> None:
    little = write(tmp_path / "little.pt", {"fc.weight": torch.tensor([[1.5, -2.0]])}, "torch")
    big = tmp_path / "big.pt"
    with zipfile.ZipFile(little) as source, zipfile.ZipFile(big, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/byteorder"):
                content = b"big"
            elif name.endswith("/data/0"):
                content = struct.pack(">2f", *struct.unpack("<2f", content))
            target.writestr(name, content)
    assert read_checkpoint(big).tensors["fc.weight"].tolist() == [[1.5, -2.0]]
    # The swap happens in memory: the file stays as it was.
    assert read_checkpoint(big).tensors["fc.weight"].tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_tensors_of_large_files_are_memory_mapped(
    format: str, large: bool, tmp_path: Path, state_dict: StateDict, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what is mapped")
    path = write(tmp_path / "model", state_dict, format)
    for module in (safetensors_file, torch_format):
        monkeypatch.setattr(module, "MAPPED_FROM", path.stat().st_size + (not large))
    checkpoint = read_checkpoint(path)
    assert (str(path) in maps.read_text()) is large
    assert same(checkpoint.tensors, state_dict)


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_a_file_that_is_cut_short_after_it_was_read_stays_read(
    format: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    path = write(tmp_path / "model", state_dict, format)
    checkpoint = read_checkpoint(path)
    os.truncate(path, 0)
    assert same(checkpoint.tensors, state_dict)  # a map would end this process


def test_nothing_that_could_run_what_is_in_a_file_reads_it(
    torch_format: str, tmp_path: Path, state_dict: StateDict, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "model.pt", state_dict, torch_format)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a reader that may run what is in a file")

    for module, name in ((torch, "load"), (torch.jit, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, name, refuse)
    for name in ("Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert same(read_checkpoint(path).tensors, state_dict)


def test_without_metadata_nothing_is_invented(format: str, tmp_path: Path, state_dict: StateDict, write: Write) -> None:
    assert read_checkpoint(write(tmp_path / "model", state_dict, format)).metadata == {}


def unencodable(folder: Path, suffix: str) -> Path:
    """A path whose name is not UTF-8, where the system has such."""
    path = folder / (os.fsdecode(b"model-\xff") + suffix)
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes only names that are UTF-8")
    return path


def test_a_name_that_is_not_utf8_is_no_obstacle_to_a_pytorch_file(
    torch_format: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    path = unencodable(tmp_path, ".pt")
    write(tmp_path / "model.pt", state_dict, torch_format).replace(path)
    assert same(read_checkpoint(path).tensors, state_dict)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_finite_weights_are_read_however_large(dtype: torch.dtype, tmp_path: Path) -> None:
    largest = torch.finfo(dtype).max
    tensors = {
        "fc.weight": torch.full((3, 4), largest, dtype=dtype),
        "fc.bias": torch.full((3,), -largest, dtype=dtype),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert same(read_checkpoint(tmp_path / "model.safetensors").tensors, tensors)
