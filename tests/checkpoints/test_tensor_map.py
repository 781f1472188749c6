"""A checkpoint that is opened by its headers: tensors are read when they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import Checkpoint, TensorMap, open_checkpoint, read_checkpoint, tensor_map
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]
RawSafetensors = Callable[..., bytes]
LAYOUTS = ("safetensors", "torch", "torch-legacy", "sharded")
CHANGED = "the file has changed since it was read"


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "embedding.weight": torch.randn(50, 6, generator=generator).bfloat16(),
        "fc.weight": torch.randn(7, 2, 3, generator=generator),
        "fc.bias": torch.randn(7, generator=generator).double(),
        "half": torch.randn(3, 2, generator=generator).half(),
        "steps": torch.tensor(7),
        "used": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
    }


@pytest.fixture
def written(write: Write, tmp_path: Path) -> Callable[..., Path]:
    """A state dict in any layout."""

    def written(layout: str, tensors: dict[str, Tensor] | None = None) -> Path:
        tensors = state() if tensors is None else tensors
        if layout != "sharded":
            return write(tmp_path / "model", tensors, layout)
        weight_map = {name: f"{number % 2}.safetensors" for number, name in enumerate(tensors)}
        for shard in set(weight_map.values()):
            save_file({name: tensors[name] for name in tensors if weight_map[name] == shard}, tmp_path / shard)
        index = tmp_path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
        return index

    return written


def tensors_of(checkpoint: Checkpoint) -> TensorMap:
    assert isinstance(checkpoint.tensors, TensorMap)
    return checkpoint.tensors


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_opened_is_what_is_read(layout: str, written: Callable[..., Path]) -> None:
    path = written(layout, {f"module.{name}": tensor for name, tensor in state().items()})
    opened, read = open_checkpoint(path), read_checkpoint(path)
    for known in ("path", "format", "metadata", "ordered", "ties", "entry", "files"):
        assert getattr(opened, known) == getattr(read, known)
    tensors = tensors_of(opened)
    assert list(tensors) == list(read.tensors) and len(tensors) == len(state())
    for name, tensor in read.tensors.items():
        frame = tensors.frame(name)
        assert tensors.shape(name) == tuple(tensor.shape) == tuple(frame.shape)
        assert tensors.dtype(name) == tensor.dtype == frame.dtype
        assert frame.is_meta and name in tensors
        assert torch.equal(tensors[name], tensor) and torch.equal(state()[name], tensor)
    assert "fc" not in tensors
    with pytest.raises(KeyError):
        tensors["fc"]


@pytest.mark.parametrize("layout", ["safetensors", "torch", "sharded"])
def test_nothing_is_read_before_it_is_asked_for_and_nothing_is_kept(
    layout: str, written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = written(layout), []
    fill = TensorMap._fill

    def noted(self: TensorMap, file: object, place: tensor_map.Place, *rest: object) -> None:
        asked.append(place.shape)
        fill(self, file, place, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TensorMap, "_fill", noted)
    tensors = tensors_of(open_checkpoint(path))
    assert all(isinstance(place, tensor_map.Place) or not place.numel() for place in tensors._places.values())
    assert [tensors.shape(name) for name in tensors] and not asked
    first, second = tensors["fc.weight"], tensors["fc.weight"]
    assert asked == [(7, 2, 3), (7, 2, 3)] and first.data_ptr() != second.data_ptr()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [None, 1, 3, 100])
def test_parts_are_the_rows_in_their_order(layout: str, rows: int | None, written: Callable[..., Path]) -> None:
    tensors = tensors_of(open_checkpoint(written(layout)))
    for name, tensor in state().items():
        parts = list(tensors.parts(name, rows))
        if not tensor.ndim or not tensor.numel() or rows is None:
            assert len(parts) == 1 and torch.equal(parts[0], tensor)
        else:
            assert len(parts) == -(-len(tensor) // rows)
            assert torch.equal(torch.cat(parts), tensor)


def test_parts_have_a_size_of_their_own(written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_map, "_PART", 30)  # bytes: two rows of six bfloat16, and less than one of float32
    tensors = tensors_of(open_checkpoint(written("safetensors")))
    assert [len(part) for part in tensors.parts("embedding.weight")] == [2] * 25
    assert [tuple(part.shape) for part in tensors.parts("fc.weight")] == [(1, 2, 3)] * 7


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("part", [30, 240, 1 << 23])
def test_rows_are_gathered_in_any_order(
    layout: str, part: int, written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_map, "_PART", part)
    tensors, whole = tensors_of(open_checkpoint(written(layout))), state()["embedding.weight"]
    generator = torch.Generator().manual_seed(1)
    for indices in (
        torch.randperm(50, generator=generator),
        torch.arange(50),
        torch.tensor([49, 0]),
        torch.tensor([3, 3, 3, 48, 3]),
        torch.randint(50, (200,), generator=generator),
        torch.tensor([], dtype=torch.long),
    ):
        assert torch.equal(tensors.rows("embedding.weight", indices), whole[indices])
    assert torch.equal(tensors.rows("fc.bias", torch.tensor([6, 2])), state()["fc.bias"][[6, 2]])
    assert tuple(tensors.rows("empty", torch.tensor([], dtype=torch.long)).shape) == (0, 3)


@pytest.mark.parametrize(("name", "indices"), [("fc.bias", [7]), ("fc.bias", [-1]), ("steps", [0]), ("empty", [0])])
def test_rows_that_are_not_there_are_refused(name: str, indices: list[int], written: Callable[..., Path]) -> None:
    tensors = tensors_of(open_checkpoint(written("safetensors")))
    with pytest.raises(IndexError, match=name):
        tensors.rows(name, torch.tensor(indices))


def test_views_in_a_pytorch_file_are_read_as_they_are(written: Callable[..., Path]) -> None:
    matrix = torch.randn(8, 6)
    views = {
        "whole": matrix,
        "turned": matrix.T,
        "columns": matrix[:, 2:4],
        "rows": matrix[3:6],
        "repeated": torch.randn(1, 4).expand(3, 4),
    }
    path = written("torch", views)
    opened = open_checkpoint(path)
    assert opened.ties == read_checkpoint(path).ties != ()
    tensors = tensors_of(opened)
    for name, view in views.items():
        assert torch.equal(tensors[name], view) and tensors[name].is_contiguous()
        assert torch.equal(torch.cat(list(tensors.parts(name, 2))), view)
        assert torch.equal(tensors.rows(name, torch.tensor([2, 0])), view[[2, 0]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_that_are_not_finite_are_refused_when_they_are_read(
    layout: str, written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_map, "_PART", 24)  # two rows of six bfloat16
    broken = state()
    broken["embedding.weight"][40, 1] = torch.nan
    broken["embedding.weight"][44, :2] = -torch.inf
    path = written(layout, broken)
    with pytest.raises(CheckpointError, match="holds 1 NaN and 2 Inf of 300 values") as read:
        read_checkpoint(path)
    tensors = tensors_of(open_checkpoint(path))
    assert torch.equal(tensors["fc.weight"], broken["fc.weight"])
    assert torch.equal(tensors.rows("embedding.weight", torch.arange(40)), broken["embedding.weight"][:40])
    parts = tensors.parts("embedding.weight")
    for start in range(0, 40, 2):
        assert torch.equal(next(parts), broken["embedding.weight"][start : start + 2])
    for refused in (
        lambda: next(parts),
        lambda: tensors["embedding.weight"],
        lambda: tensors.rows("embedding.weight", torch.tensor([44, 3])),
        lambda: tensors.require_finite("embedding.weight"),
    ):
        with pytest.raises(CheckpointError) as error:
            refused()
        assert str(error.value) == str(read.value)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\1")
    os.utime(path, ns=(1, 1))  # clocks may be coarse


@pytest.mark.parametrize("layout", ["safetensors", "torch", "sharded"])
@pytest.mark.parametrize("change", [grown, rewritten, Path.unlink, lambda path: os.truncate(path, 100)])
def test_a_file_that_has_changed_since_it_was_opened_is_not_read(
    layout: str, change: Callable[[Path], None], written: Callable[..., Path]
) -> None:
    path = written(layout)
    tensors = tensors_of(open_checkpoint(path))
    file = path.parent / "0.safetensors" if layout == "sharded" else path
    parts = tensors.parts("embedding.weight", 10)
    next(parts)
    change(file)
    for read in (
        lambda: tensors["embedding.weight"],
        lambda: next(parts),
        lambda: tensors.rows("embedding.weight", torch.tensor([1])),
    ):
        with pytest.raises(CheckpointError, match=CHANGED) as error:
            read()
        assert error.value.subject == str(file)


def test_a_file_that_changes_while_it_is_read_is_refused(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written("safetensors")
    tensors, fill = tensors_of(open_checkpoint(path)), TensorMap._fill

    def slow(self: TensorMap, *arguments: object) -> None:
        fill(self, *arguments)  # type: ignore[arg-type]
        grown(path)

    monkeypatch.setattr(TensorMap, "_fill", slow)
    with pytest.raises(CheckpointError, match=CHANGED):
        tensors["fc.weight"]


def test_of_two_entries_of_one_name_none_is_guessed(tmp_path: Path, raw_safetensors: RawSafetensors) -> None:
    path = tmp_path / "model.safetensors"
    entries = [{"dtype": "F32", "shape": [1, 2], "data_offsets": offsets} for offsets in ([0, 8], [8, 16])]
    for order in (entries, entries[::-1]):
        header = ", ".join(f'"a": {json.dumps(entry)}' for entry in order)
        path.write_bytes(raw_safetensors(f"{{{header}}}".encode(), bytes(16)))
        with pytest.raises(CheckpointError, match="the safetensors header does not fit the file"):
            open_checkpoint(path)


def test_an_entry_of_a_pytorch_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"one": {"fc.weight": torch.eye(2)}, "two": {"fc.weight": torch.ones(2, 2)}}, path)
    opened = open_checkpoint(path, entry="two")
    assert opened.entry == "two" and torch.equal(opened.tensors["fc.weight"], torch.ones(2, 2))
    with pytest.raises(CheckpointError, match="no entry 'three'"):
        open_checkpoint(path, entry="three")
