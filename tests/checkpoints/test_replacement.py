"""The files of a sharded checkpoint are replaced together: a fault or a kill leaves the old network or the new one."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn_cli.checkpoints import find_checkpoints, read_checkpoint, rewrite_checkpoint, synced_together
from nfn_cli.checkpoints.replacement import JOURNAL
from nfn_cli.errors import CheckpointError

SHARDS = {"a.safetensors": "fc1.weight", "deep/b.safetensors": "fc2.weight", "c.safetensors": "fc3.weight"}


def write_sharded(folder: Path, value: float = 1.0) -> Path:
    """The index of three tensors of one value, in three shards."""
    for shard, name in SHARDS.items():
        (folder / shard).parent.mkdir(parents=True, exist_ok=True)
        save_file({name: torch.full((4, 4), value)}, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: shard for shard, name in SHARDS.items()}}))
    return index


def double(index: Path, out: Path | None = None) -> None:
    checkpoint = read_checkpoint(index)
    new = {name: 2 * tensor for name, tensor in checkpoint.tensors.items()}
    rewrite_checkpoint(checkpoint, new, out or index, overwrite=out is None)


def values(index: Path) -> set[float]:
    return {entry for tensor in read_checkpoint(index).tensors.values() for entry in tensor.flatten().tolist()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Fault:
    """Makes the call of this number among those of some functions fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], at: int, error: BaseException) -> None:
        self.calls, self._at, self._error = 0, at, error
        for name in names:
            monkeypatch.setattr(os, name, self._faulty(getattr(os, name)))

    def _faulty(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                raise self._error
            return call(*arguments, **options)

        return faulty


# Each file: made, synced, named; then folders are synced; the journal; folders; four renames; folders.
STEPS = ("fsync", "link", "replace")
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full", "interrupt"])
def test_a_fault_at_any_step_leaves_the_old_network_or_the_new_one(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for step in range(1, 100):
        folder = tmp_path / str(step)
        index = write_sharded(folder)
        before = files(folder)
        with monkeypatch.context() as patch:
            fault = Fault(patch, STEPS, step, error)
            try:
                double(index)
            except (CheckpointError, KeyboardInterrupt) as raised:
                ended: BaseException | None = raised
            else:
                ended = None
        whole = files(folder)
        if ended is None and fault.calls < step:
            break  # there is no such step
        if JOURNAL in whole:
            assert "replaced only in part (No space left on device" in str(ended)
        found = values(index)
        assert found in ({1.0}, {2.0}), step
        if found == {1.0}:
            assert ended is not None and files(folder) == before
        else:
            assert set(files(folder)) == set(before)
        seen.append((JOURNAL in whole, found))
    assert fault.calls > 12
    assert (False, {1.0}) in seen and (False, {2.0}) in seen
    assert ((True, {2.0}) in seen) == (error is FULL)


def test_a_fault_while_a_new_one_is_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, out = write_sharded(tmp_path / "in"), tmp_path / "out" / "model.safetensors.index.json"
    out.parent.mkdir()
    Fault(monkeypatch, ("fsync",), 3, FULL)
    with pytest.raises(CheckpointError, match=r"out/c\.safetensors: cannot be written \(No space left on device\)"):
        double(index, out)
    assert list(out.parent.iterdir()) == []


def test_shards_of_a_batch_are_on_the_disk_before_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, out = write_sharded(tmp_path / "in"), tmp_path / "out" / "model.safetensors.index.json"
    out.parent.mkdir()
    calls: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("named") or replace(*paths))
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("synced") or fsync(descriptor))
    with synced_together():
        double(index, out)
    assert calls.index("named") >= 5  # four files and the journal


KILLED = """
import os, signal, sys
from pathlib import Path
from nfn_cli.checkpoints import read_checkpoint, rewrite_checkpoint

name, left = sys.argv[4], int(sys.argv[2])
call = getattr(os, name)

def killing(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return call(*arguments)

checkpoint = read_checkpoint(Path(sys.argv[1]))
setattr(os, name, killing)
new = {name: 2 * tensor for name, tensor in checkpoint.tensors.items()}
rewrite_checkpoint(checkpoint, new, Path(sys.argv[3]), overwrite=True)
"""


def kill_after(calls: int, index: Path, out: Path, name: str = "replace") -> None:
    """Have another process double a checkpoint, and be killed after so many calls of a function of the system."""
    arguments = [str(index), str(calls), str(out), name]
    finished = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert finished.returncode == -signal.SIGKILL


def test_a_killed_process_leaves_renames_that_the_next_reader_finishes(tmp_path: Path) -> None:
    index = write_sharded(tmp_path / "model")
    before = set(files(tmp_path))
    kill_after(2, index, index)
    assert (index.parent / JOURNAL).exists()
    assert load_file(index.parent / "a.safetensors")["fc1.weight"][0, 0] == 2
    assert load_file(index.parent / "c.safetensors")["fc3.weight"][0, 0] == 1
    assert find_checkpoints([index.parent]) == [index]
    assert values(index) == {2.0}
    assert set(files(tmp_path)) == before


def test_what_a_killed_process_has_written_aside_goes_with_the_next_writer(tmp_path: Path) -> None:
    index = write_sharded(tmp_path)
    before = files(tmp_path)
    kill_after(2, index, index, "link")
    left = set(files(tmp_path)) - set(before)
    assert len(left) == 3 and values(index) == {1.0}
    assert find_checkpoints([tmp_path]) == [index]
    double(index)
    assert {name for name in files(tmp_path) if name.startswith(".")} == set()
    assert values(index) == {2.0}


def test_a_new_checkpoint_that_a_killed_process_was_naming_is_not_read_in_part(tmp_path: Path) -> None:
    index, out = write_sharded(tmp_path / "in"), tmp_path / "out" / "model.safetensors.index.json"
    out.parent.mkdir()
    kill_after(1, index, out)
    assert not out.exists() and (out.parent / "a.safetensors").exists()
    assert values(out.parent) == {2.0}
    assert set(files(out.parent)) == set(files(index.parent))


def stopped(folder: Path, monkeypatch: pytest.MonkeyPatch, error: str = "Input/output error") -> Path:
    """A checkpoint of which one file of four is replaced."""
    index = write_sharded(folder)
    with monkeypatch.context() as patch:
        Fault(patch, ("replace",), 2, OSError(errno.EIO, error))
        with pytest.raises(CheckpointError, match=f"replaced only in part \\({error}; see {JOURNAL} there\\)"):
            double(index)
    return index


def test_what_cannot_be_finished_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = stopped(tmp_path, monkeypatch)

    def replace(*paths: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        for path in (index, index.parent):
            with pytest.raises(
                CheckpointError, match=r"was cut short, and cannot be finished \(Read-only file system;"
            ):
                read_checkpoint(path)
        assert find_checkpoints([index.parent]) == [index.parent]  # reported in place
    assert values(index) == {2.0}


def test_a_new_file_that_is_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = stopped(tmp_path, monkeypatch)
    record = json.loads((tmp_path / JOURNAL).read_text())
    (tmp_path / record["renames"][2]["aside"]).unlink()
    for _ in range(2):
        with pytest.raises(
            CheckpointError, match=r"the new 'c\.safetensors' is lost .*; put the whole checkpoint there"
        ):
            read_checkpoint(index)


@pytest.mark.parametrize(
    "change",
    [
        {"aside": "../.0123456789abcdef.new", "place": "../a.safetensors"},
        {"aside": "link/.0123456789abcdef.new", "place": "link/a.safetensors"},
        {"aside": ".0123456789abcdef.new", "place": "link/a.safetensors"},
        {"aside": "precious"},
        {"aside": 3},
        {"place": JOURNAL},
        {"place": "deep"},
    ],
    ids=lambda change: " ".join(f"{name}={value}" for name, value in change.items()),
)
def test_a_strangers_journal_moves_nothing(change: dict[str, Any], tmp_path: Path) -> None:
    index, outside = write_sharded(tmp_path / "model"), tmp_path / "outside"
    outside.mkdir()
    (index.parent / "link").symlink_to(outside)
    for folder in (tmp_path, outside, index.parent):
        (folder / ".0123456789abcdef.new").write_text("new")
    for folder in (tmp_path, outside):
        (folder / "a.safetensors").write_text("old")
    (index.parent / "precious").write_text("precious")
    rename = {"aside": ".0123456789abcdef.new", "place": "a.safetensors", "size": 3, "written": 0} | change
    (index.parent / JOURNAL).write_text(json.dumps({"renames": [rename]}))
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=f"{JOURNAL}: not a list of files that nfn was replacing"):
        read_checkpoint(index)
    assert files(tmp_path) == before


def forged(folder: Path, places: dict[str, bytes], listed: list[str]) -> None:
    """A journal that gives files of some contents their places, and last an index of some shards."""
    index = json.dumps({"weight_map": {str(number): shard for number, shard in enumerate(listed)}}).encode()
    renames = []
    for number, (place, content) in enumerate((places | {"model.safetensors.index.json": index}).items()):
        aside = folder / f".{number:016x}.new"
        aside.write_bytes(content)
        status = aside.stat()
        own = {"aside": aside.name, "place": place, "size": status.st_size, "written": status.st_mtime_ns}
        renames.append(own)
    (folder / JOURNAL).write_text(json.dumps({"renames": renames}))


@pytest.mark.parametrize(
    ("places", "listed"),
    [
        (["notes.txt"], ["a.safetensors"]),
        (["notes.txt"], ["notes.txt"]),
        (["a.safetensors"], ["a.safetensors", "c.safetensors"]),
        ([], ["../model/a.safetensors"]),
    ],
    ids=["no shard", "no checkpoint", "not all shards", "outside"],
)
def test_a_strangers_journal_replaces_only_the_shards_of_its_index(
    places: list[str], listed: list[str], tmp_path: Path
) -> None:
    index = write_sharded(tmp_path / "model")
    (index.parent / "notes.txt").write_text("mine")
    forged(index.parent, dict.fromkeys(places, b"new"), listed)
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=f"{JOURNAL}: not a list of files that nfn was replacing"):
        read_checkpoint(index)
    assert files(tmp_path) == before


def test_nothing_is_renamed_where_one_of_the_new_files_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = stopped(tmp_path, monkeypatch)
    record = json.loads((tmp_path / JOURNAL).read_text())
    record["renames"][2]["size"] += 1
    (tmp_path / JOURNAL).write_text(json.dumps(record))
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=r"the new 'c\.safetensors' is lost"):
        read_checkpoint(index)
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"renames": 3}', '{"renames": [[]]}', "[" * 100_000])
def test_a_damaged_journal_is_refused(text: str, tmp_path: Path) -> None:
    index = write_sharded(tmp_path)
    (tmp_path / JOURNAL).write_text(text)
    with pytest.raises(CheckpointError, match=f"{JOURNAL}: not a list of files that nfn was replacing"):
        read_checkpoint(index)


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nfn_cli.checkpoints import read

    index, read_file, done = write_sharded(tmp_path), read._read_file, []

    def replacing(path: Path, *arguments: Any) -> Any:
        found = read_file(path, *arguments)
        if not done:
            done.append(path)
            for shard, name in SHARDS.items():
                (tmp_path / "new").write_bytes(b"")
                save_file({name: torch.full((4, 4), 2.0)}, tmp_path / "new")
                os.replace(tmp_path / "new", tmp_path / shard)
        return found

    monkeypatch.setattr(read, "_read_file", replacing)
    with pytest.raises(CheckpointError, match="it was replaced while it was read; try again once nothing writes it"):
        read_checkpoint(index)
    assert values(index) == {2.0}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_what_has_changed_since_it_was_read_is_not_mixed_with_what_was_read(suffix: str, tmp_path: Path) -> None:
    path, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"

    def save(value: float) -> None:
        tensors = {"fc1.weight": torch.full((4, 4), value), "fc2.weight": torch.full((4, 4), value)}
        save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)

    save(1.0)
    checkpoint = read_checkpoint(path)
    save(3.0)
    with pytest.raises(CheckpointError, match="the file has changed since it was read; try again"):
        rewrite_checkpoint(checkpoint, {"fc1.weight": torch.full((4, 4), 2.0)}, out)
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_writer_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """It comes while the first writes its files aside."""
    index = write_sharded(tmp_path)
    other = read_checkpoint(index)

    class Interfering(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            with pytest.raises(CheckpointError, match="another run is writing to it; wait for its end"):
                rewrite_checkpoint(
                    other, {name: 7 * tensor for name, tensor in other.tensors.items()}, index, overwrite=True
                )
            return super().__getitem__(name)

    new = Interfering({name: 2 * tensor for name, tensor in other.tensors.items()})
    rewrite_checkpoint(read_checkpoint(index), new, index, overwrite=True)
    assert values(index) == {2.0}
    assert set(files(tmp_path)) == {index.name, *SHARDS}


def test_a_link_out_of_the_folder_is_not_written_through(tmp_path: Path) -> None:
    index, out = write_sharded(tmp_path / "in"), tmp_path / "out" / "model.safetensors.index.json"
    out.parent.mkdir()
    (tmp_path / "precious").write_text("precious")
    (out.parent / "c.safetensors").symlink_to(tmp_path / "precious")
    checkpoint = read_checkpoint(index)
    with pytest.raises(CheckpointError, match=r"c\.safetensors: a link that leads out of the folder"):
        rewrite_checkpoint(checkpoint, dict(checkpoint.tensors), out, overwrite=True)
    assert (tmp_path / "precious").read_text() == "precious"
    assert [path.name for path in out.parent.iterdir()] == ["c.safetensors"]


def test_shards_of_the_old_checkpoint_are_not_left_beside_the_new_one(tmp_path: Path) -> None:
    index, other = write_sharded(tmp_path / "in"), write_sharded(tmp_path / "out")
    (other.parent / "c.safetensors").rename(other.parent / "d.safetensors")
    other.write_text(other.read_text().replace("c.safetensors", "d.safetensors"))
    before = files(tmp_path)
    checkpoint = read_checkpoint(index)
    with pytest.raises(CheckpointError, match=r"has another shard, 'd\.safetensors', which would be left"):
        rewrite_checkpoint(checkpoint, dict(checkpoint.tensors), other, overwrite=True)
    assert files(tmp_path) == before


def test_permissions_of_replaced_shards_stay(tmp_path: Path) -> None:
    index = write_sharded(tmp_path)
    (tmp_path / "a.safetensors").chmod(0o600)
    double(index)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o600
