"""Failures that may pass leave no stamp, so that a resumed run tries their files again; others do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.checkpoints import StoreError, object_store
from nfn_cli.errors import CheckpointError
from nfn_cli.nn import load_head
from nfn_cli.scoring import reading
from nfn_cli.scoring.reading import ReadChunk, ReadSettings, Source, read_chunk

Save = Callable[..., Path]


@pytest.fixture
def read(models: Path) -> Callable[..., ReadChunk]:
    """Read one file for a head."""

    def call(path: str | Path, **options: Any) -> ReadChunk:
        accepted = {"a-relu": load_head(str(models / "a-relu")).config.accepted}
        return read_chunk([Source(str(path))], ReadSettings(accepted, **options))

    return call


def raising(error: Exception) -> Callable[..., Any]:
    def read_network(*_: Any, **__: Any) -> Any:
        raise error

    return read_network


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        FileNotFoundError(2, "No such file or directory"),
        OSError(5, "Input/output error"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        StoreError("a.safetensors", "cannot be fetched", "try again later"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_leaves_no_stamp(
    error: Exception, read: Callable[..., ReadChunk], save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save("a.safetensors")
    assert read(path).stamps[0] is not None and not read(path).failures
    monkeypatch.setattr(reading, "read_checkpoint", raising(error))
    chunk = read(path)
    assert isinstance(chunk.failures[0], CheckpointError) and chunk.stamps == [None]


def test_a_damaged_file_has_its_stamp(read: Callable[..., ReadChunk], tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"bad")
    chunk = read(tmp_path / "a.pt")
    assert chunk.failures and chunk.stamps[0] is not None and chunk.stamps[0].bytes == 3


def test_a_file_that_is_too_large_for_this_machine_has_none(read: Callable[..., ReadChunk], save: Save) -> None:
    chunk = read(save("a.safetensors"), largest=100)
    assert "more than fit into memory" in chunk.failures[0].cause and chunk.stamps == [None]


def test_a_bug_is_not_disguised_as_a_failure(
    read: Callable[..., ReadChunk], save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "read_checkpoint", raising(RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="shapes"):
        read(save("a.safetensors"))


def test_a_store_that_fails_between_telling_and_giving_a_file_leaves_no_stamp(
    read: Callable[..., ReadChunk], save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe("/test-passing/a.safetensors", save("a.safetensors").read_bytes())
    monkeypatch.setattr(object_store, "_FIRST_WAIT", 0.0)
    try:
        assert read("memory://test-passing/a.safetensors").stamps[0] is not None

        def get_file(*_: Any, **__: Any) -> None:
            raise ConnectionError("cut")

        monkeypatch.setattr(type(store), "get_file", get_file)
        chunk = read("memory://test-passing/a.safetensors")
        assert "cannot be fetched after 4 tries" in chunk.failures[0].cause and chunk.stamps == [None]
    finally:
        store.rm("/test-passing", recursive=True)
