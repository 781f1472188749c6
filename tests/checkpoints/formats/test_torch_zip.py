"""A PyTorch zip file written back: every byte but those of the tensors, and those in their right places."""

from __future__ import annotations

import argparse
import enum
import struct
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import PartedTensors, read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError


def sample(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write a file of this format."""
    torch.save(tensors, folder / "sample.pt")
    return folder / "sample.pt"


class Mode(enum.Enum):
    """An option of a training script."""

    FAST = 1


class Options:
    """The options of a training script."""

    class Inner:
        """A class within a class, which pickles name by `getattr`."""

    def __init__(self) -> None:
        self.inner = Options.Inner()
        self.activation = torch.nn.functional.relu


def objects() -> dict[str, Any]:
    return {
        "best": np.float64(0.9),
        "history": np.arange(5.0),
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2]),
        "counts": defaultdict(list, {"a": [1]}),
        "path": Path("runs/1"),
        "mode": Mode.FAST,
        "options": Options(),
        "rng": np.random.default_rng(0).bit_generator.state,
        "frozen": frozenset({1, 2}),
        "epoch": 3,
    }


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "fc1.weight": torch.nn.Parameter(torch.randn(4, 3, generator=generator)),
        "fc1.bias": torch.randn(4, generator=generator),
        "fc2.weight": torch.randn(2, 4, generator=generator).half(),
        "steps": torch.tensor(7),
    }


def negated(path: Path, out: Path, **options: Any) -> tuple[str, ...]:
    """Write a file with all real weights negated; each half of them is exact."""
    checkpoint = read_checkpoint(path, **options)
    new = {name: -tensor for name, tensor in checkpoint.tensors.items() if tensor.is_floating_point()}
    return rewrite_checkpoint(checkpoint, new, out)


def assert_negated(found: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    assert list(found) == list(saved)
    for name, tensor in saved.items():
        assert type(found[name]) is type(tensor) and found[name].dtype == tensor.dtype
        assert torch.equal(found[name], -tensor if tensor.is_floating_point() else tensor), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_beside_the_weights_stay_in_the_file(protocol: int, tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    saved = {"state_dict": weights(), **objects(), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}
    torch.save(saved, path, pickle_protocol=protocol)
    assert negated(path, out) == ("optimizer",)
    found = torch.load(out, weights_only=False)
    assert_negated(found["state_dict"], saved["state_dict"])
    assert list(found) == list(saved)
    for name in ("args", "counts", "path", "mode", "frozen", "epoch", "rng"):
        assert found[name] == saved[name]
    assert type(found["best"]) is np.float64 and found["best"] == 0.9
    assert np.array_equal(found["history"], np.arange(5.0))
    assert found["options"].activation is torch.nn.functional.relu
    assert torch.equal(found["optimizer"]["state"][0]["exp_avg"], torch.ones(3))


@pytest.mark.parametrize("name", objects())
def test_each_object_is_passed_over_in_both_formats(name: str, tmp_path: Path) -> None:
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pt"
        torch.save({"state_dict": weights(), name: objects()[name]}, path, _use_new_zipfile_serialization=zipped)
        assert list(read_checkpoint(path).tensors) == list(weights())


def test_only_the_bytes_of_tensors_and_their_checksums_change(tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save(weights(), path)
    negated(path, out)
    assert path.stat().st_size == out.stat().st_size
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out) as new:
        assert new.testzip() is None
        assert [e.header_offset for e in old.infolist()] == [e.header_offset for e in new.infolist()]
        assert {e for e in old.namelist() if old.read(e) != new.read(e)} == {f"in/data/{i}" for i in range(3)}
    for options in ({"weights_only": True}, {"weights_only": False}, {"mmap": True}):
        assert_negated(torch.load(out, **options), weights())
    reader = torch._C.PyTorchFileReader(str(out))
    assert [reader.get_record_offset(f"data/{i}") % 64 for i in range(4)] == [0] * 4


def test_views_and_shared_storages_come_out_right(tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    flat = torch.randn(30)
    saved = {
        "a.weight": flat[:12].view(3, 4),
        "b.weight": flat[12:24].view(4, 3).T,  # not contiguous
        "c.weight": flat[24:].view(3, 2)[:, :1],  # columns of one matrix
        "d.weight": flat[24:].view(3, 2)[:, 1:],
        "e.weight": (tied := torch.randn(3, 3)),
        "f.weight": tied,
        "g.bias": tied[0],
        "h.weight": torch.randn(4, 5).T,
    }
    torch.save({"model": saved, "best": dict(saved), "ema": {"a.weight": torch.ones(1, 1)}}, path)
    assert negated(path, out) == ("ema",)
    found = torch.load(out, weights_only=True)
    assert_negated(found["model"], saved)
    assert_negated(found["best"], saved)  # the same memory
    assert found["model"]["e.weight"].data_ptr() == found["model"]["f.weight"].data_ptr()
    assert found["model"]["b.weight"].stride() == (1, 3)


def test_a_part_of_the_tensors_may_change(tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    flat = torch.randn(24)
    saved = {"a.weight": flat[:12].view(3, 4), "b.weight": flat[12:].view(4, 3), "c.bias": torch.ones(2)}
    torch.save(saved, path)
    rewrite_checkpoint(read_checkpoint(path), {"b.weight": torch.zeros(4, 3)}, out)
    found = torch.load(out, weights_only=True)
    assert torch.equal(found["a.weight"], saved["a.weight"]) and torch.equal(found["c.bias"], torch.ones(2))
    assert not found["b.weight"].any()


@pytest.mark.parametrize("new", [{"a": torch.zeros(2, 2), "b": torch.ones(2, 2)}, {"a": torch.zeros(2, 2)}], ids=len)
def test_one_memory_cannot_have_two_values(new: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "in.pt"
    tied = torch.eye(2)
    torch.save({"a": tied, "b": tied.T}, path)
    with pytest.raises(CheckpointError, match=r"tensors 'a' and 'b' are tied .*, and would have"):
        rewrite_checkpoint(read_checkpoint(path), new, tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "repeated", [torch.ones(1).expand(9), torch.randn(9).unfold(0, 3, 2), torch.randn(9).as_strided((2, 2), (3, 3))]
)
def test_entries_that_are_repeated_in_the_file_cannot_be_told_apart(repeated: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "in.pt"
    torch.save({"a.weight": torch.randn(9, 9), "a.bias": repeated}, path)
    with pytest.raises(CheckpointError, match=r"tensor 'a\.bias' repeats its entries in the file.*clone"):
        negated(path, tmp_path / "out.pt")


def test_a_file_that_became_another_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "in.pt"
    torch.save(weights(), path)
    checkpoint = read_checkpoint(path)
    torch.save({**weights(), "fc1.weight": torch.ones(5, 3)}, path)
    with pytest.raises(CheckpointError, match=r"in\.pt: the file has changed since it was read"):
        rewrite_checkpoint(checkpoint, {"fc1.weight": torch.zeros(4, 3)}, tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("order", ["little", "big"])
def test_archives_of_other_writers_stay_as_they_are(order: str, zip64: bool, tmp_path: Path) -> None:
    plain, path, out = tmp_path / "plain.pt", tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save({"fc.weight": torch.tensor([[1.5, -2.0], [0.25, 3.0]])}, plain)
    values = (1.5, -2.0, 0.25, 3.0)
    sign = "<" if order == "little" else ">"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/byteorder"):
                content = order.encode()
            elif name.endswith("/data/0"):
                content = struct.pack(f"{sign}4f", *values)
            with target.open(name, "w", force_zip64=zip64) as entry:
                entry.write(content)
    negated(path, out)
    with zipfile.ZipFile(out) as new:
        assert new.testzip() is None
        assert struct.unpack(f"{sign}4f", new.read("plain/data/0")) == tuple(-value for value in values)
    assert read_checkpoint(out).tensors["fc.weight"].flatten().tolist() == [-value for value in values]


def test_the_metadata_of_a_state_dict_stays(tmp_path: Path) -> None:
    for zipped in (True, False):
        path, out = tmp_path / f"in-{zipped}.pt", tmp_path / f"out-{zipped}.pt"
        saved = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict()
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
        negated(path, out)
        found = torch.load(out, weights_only=True)
        assert type(found) is OrderedDict and found._metadata == saved._metadata
        assert_negated(found, saved)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_the_entry_that_was_named_is_the_one_that_changes(zipped: bool, tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    saved = {"agent": {"actor": weights(), "critic": weights()}, "step": 5}
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path, entry="agent.critic")
    assert checkpoint.entry == "agent.critic"
    assert negated(path, out, entry="agent.critic") == ()
    found = torch.load(out, weights_only=True)
    assert_negated(found["agent"]["critic"], saved["agent"]["critic"])
    assert all(torch.equal(found["agent"]["actor"][name], tensor) for name, tensor in weights().items())
    assert found["step"] == 5


class InParts(PartedTensors):
    """Tensors row by row; the last rows may be missing."""

    def __init__(self, tensors: dict[str, Tensor], missing: int = 0) -> None:
        self.tensors, self.missing = tensors, missing

    def __getitem__(self, name: str) -> Tensor:
        raise AssertionError(f"{name} was asked for whole")

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def parts(self, name: str) -> Iterator[Tensor]:
        rows = torch.atleast_1d(self.tensors[name])
        yield from rows[: len(rows) - self.missing].split(1)


def test_tensors_in_parts_are_never_made_whole(tmp_path: Path) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    saved = {**weights(), "scale": torch.tensor(0.5)}
    torch.save(saved, path)
    checkpoint = read_checkpoint(path)
    new = {name: -tensor for name, tensor in checkpoint.tensors.items() if tensor.is_floating_point()}
    rewrite_checkpoint(checkpoint, InParts(new), out)
    assert_negated(torch.load(out, weights_only=True), saved)
    with pytest.raises(ValueError, match="3 of 4 rows"):
        rewrite_checkpoint(checkpoint, InParts({"fc1.weight": new["fc1.weight"]}, missing=1), tmp_path / "half.pt")
    assert not (tmp_path / "half.pt").exists()
