"""A file is written whole or not at all, and no file is lost by accident."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from nfn_cli.checkpoints import (
    atomic,
    read_checkpoint,
    require_writable,
    save_tensors,
    synced_together,
    write_atomically,
    write_text_atomically,
)
from nfn_cli.errors import CheckpointError


class Broken(Exception):
    """What a writer may raise half-way."""


def half(temporary: Path) -> None:
    temporary.write_text("half")
    raise Broken


@pytest.fixture
def with_umask() -> Iterator[Callable[[int], None]]:
    """Set the user's mask of permissions until the end of the test."""
    before = os.umask(0o022)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_appears_with_all_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    seen: list[bool] = []

    def write(temporary: Path) -> None:
        temporary.write_text("one\n")
        seen.append(path.exists())
        with temporary.open("a") as file:
            file.write("two\n")

    write_atomically(path, write)
    assert path.read_text() == "one\ntwo\n"
    assert seen == [False]
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "a.txt", "τ = 0,9 – слой\n")
    assert (tmp_path / "a.txt").read_bytes() == "τ = 0,9 – слой\n".encode()


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, OSError])
def test_a_failing_writer_leaves_nothing_behind(error: type[BaseException], tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(CheckpointError if error is OSError else error):
        write_atomically(tmp_path / "rows.csv", write)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_writer_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(Broken):
        write_atomically(path, half, overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(CheckpointError, match=r"rows\.csv: the file exists already; pass --overwrite to replace it"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    write_text_atomically(path, "new", overwrite=True)
    assert path.read_text() == "new"


def test_the_writer_is_not_called_where_the_file_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.touch()
    with pytest.raises(CheckpointError):
        write_atomically(path, half)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_that_the_users_mask_leaves(
    mask: int, expected: int, tmp_path: Path, with_umask: Callable[[int], None]
) -> None:
    with_umask(mask)
    write_text_atomically(tmp_path / "a.txt", "text")
    save_tensors(tmp_path / "a.safetensors", {"w": torch.eye(2)})
    assert [permissions(path) for path in sorted(tmp_path.iterdir())] == [expected, expected]


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    for mode in (0o600, 0o640, 0o444):
        path = tmp_path / f"{mode}.safetensors"
        path.touch()
        path.chmod(mode)
        save_tensors(path, {"w": torch.eye(2)}, overwrite=True)
        assert permissions(path) == mode
        assert read_checkpoint(path).tensors["w"].shape == (2, 2)


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "rows.csv"
    target.write_text("old")
    link = tmp_path / "rows.csv"
    link.symlink_to(target)
    write_text_atomically(link, "new", overwrite=True)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list((tmp_path / "far").iterdir()) == [target]


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    folder, pipe, link = tmp_path / "folder", tmp_path / "pipe", tmp_path / "link"
    folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (folder, pipe, link):
        with pytest.raises(CheckpointError, match="is not a regular file; choose another place"):
            write_text_atomically(path, "text", overwrite=True)
    assert folder.is_dir() and pipe.is_fifo() and link.is_symlink()


def test_a_missing_folder_is_told_before_any_work(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "rows.csv", Path("x" * 5000) / "rows.csv"):
        with pytest.raises(CheckpointError, match="its folder does not exist; make the folder first"):
            require_writable(path, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(CheckpointError, match=r"cannot be written \(File name too long\); choose another place"):
        write_text_atomically(path, "text")
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_text_atomically(path, "text")
    assert path.read_text() == "text"


def test_tensors_of_any_layout_in_memory_come_back_as_they_were(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"turned": base.T, "part": base[:, 1:], "repeated": torch.ones(1, 1).expand(2, 3), "scalar": base.sum()}
    save_tensors(tmp_path / "a.safetensors", tensors, {"activation": "relu", "other": "kept in the file only"})
    checkpoint = read_checkpoint(tmp_path / "a.safetensors")
    assert {name: tensor.tolist() for name, tensor in checkpoint.tensors.items()} == {
        name: tensor.tolist() for name, tensor in tensors.items()
    }
    assert checkpoint.metadata == {"activation": "relu"}


def test_a_disk_that_fails_under_a_checkpoint_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_file(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", save_file)
    path = tmp_path / "a.safetensors"
    path.write_text("old")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: cannot be written \(.*No space left"):
        save_tensors(path, {"w": torch.eye(2)}, overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def to_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was brought to the disk: `file` for one, `all` for everything."""
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("file"))
    monkeypatch.setattr(os, "sync", lambda: calls.append("all"), raising=False)
    return calls


def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, to_disk: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("link", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *paths, call=call: to_disk.append("named") or call(*paths))
    write_text_atomically(tmp_path / "a.txt", "text")
    write_text_atomically(tmp_path / "a.txt", "text", overwrite=True)
    assert to_disk == 2 * ["file", "named"]


def test_a_file_that_another_has_written_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def write(temporary: Path) -> None:
        temporary.write_text("late")
        path.write_text("first")

    with pytest.raises(CheckpointError, match=r"rows\.csv: the file exists already"):
        write_atomically(path, write)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_written_where_the_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    write_text_atomically(tmp_path / "a.txt", "text")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]


def test_small_new_files_of_a_batch_are_brought_to_the_disk_together(tmp_path: Path, to_disk: list[str]) -> None:
    with synced_together():
        for name in "abc":
            write_text_atomically(tmp_path / name, name)
        assert to_disk == [] and len(list(tmp_path.iterdir())) == 3
    assert to_disk == ["all"]
    write_text_atomically(tmp_path / "d", "d")
    assert to_disk == ["all", "file"]


def test_a_batch_that_ends_in_an_error_is_brought_to_the_disk_too(tmp_path: Path, to_disk: list[str]) -> None:
    with pytest.raises(Broken), synced_together():
        write_text_atomically(tmp_path / "a", "a")
        raise Broken
    assert to_disk == ["all"]


def test_files_that_replace_others_and_large_ones_do_not_wait_for_their_batch(
    tmp_path: Path, to_disk: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_LARGE", 100)
    (tmp_path / "old").write_text("old")
    with synced_together():
        write_text_atomically(tmp_path / "old", "new", overwrite=True)
        write_text_atomically(tmp_path / "large", 100 * "x")
        assert to_disk == ["file", "file"]
    assert to_disk == ["file", "file"]


def test_files_do_not_wait_where_the_system_cannot_bring_all_to_the_disk(
    tmp_path: Path, to_disk: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sync")
    with synced_together():
        write_text_atomically(tmp_path / "a", "a")
    assert to_disk == ["file"]
