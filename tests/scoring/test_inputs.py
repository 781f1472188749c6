"""From what a user names to the files to score."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from nfn_cli.errors import CheckpointError, DataError, UsageError
from nfn_cli.scoring import Inputs, found, inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of empty files, which is where the program runs."""
    for name in ("zoo/run-2.pt", "zoo/run-10.pt", "zoo/sub/a.safetensors", "zoo/notes.txt", "b.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*paths: str, **options: object) -> list[str]:
    return list(found(Inputs(paths, **options)))  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
def test_files_folders_and_globs_come_in_the_order_they_are_named() -> None:
    assert names("b.pt", "zoo", "none.pt") == [
        "b.pt",
        "zoo/run-2.pt",
        "zoo/run-10.pt",
        "zoo/sub/a.safetensors",
        "none.pt",
    ]
    assert names("zoo/run-*.pt", "b.pt") == ["zoo/run-2.pt", "zoo/run-10.pt", "b.pt"]
    assert names("**/*.safetensors") == ["zoo/sub/a.safetensors"]
    assert names("z*o") == names("zoo")


def test_a_file_whose_name_looks_like_a_glob_is_that_file(folder: Path) -> None:
    (folder / "[ab].pt").touch()
    assert names("[ab].pt") == ["[ab].pt"]


@pytest.mark.usefixtures("folder")
def test_patterns_choose_among_the_files_of_folders_by_name_or_path() -> None:
    assert names("zoo", include=["*.pt"]) == ["zoo/run-2.pt", "zoo/run-10.pt"]
    assert names("zoo", include=["zoo/sub/*", "run-2.*"]) == ["zoo/run-2.pt", "zoo/sub/a.safetensors"]
    assert names("zoo", exclude=["run-*"]) == ["zoo/sub/a.safetensors"]
    assert names("zoo", include=["*.pt"], exclude=["*-10.pt"]) == ["zoo/run-2.pt"]
    assert names("b.pt", include=["*.safetensors"]) == ["b.pt"]  # named itself
    with pytest.raises(CheckpointError, match="the patterns leave no checkpoint of this folder"):
        names("zoo", include=["*.onnx"])


@pytest.mark.usefixtures("folder")
def test_a_limit_takes_the_first_and_lists_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(folder: Path) -> Iterator[Path]:
        while True:
            yield folder / "a.pt"

    assert names("zoo", "b.pt", limit=2) == ["zoo/run-2.pt", "zoo/run-10.pt"]
    monkeypatch.setattr(inputs, "walk_checkpoints", endless)
    assert len(list(islice(found(Inputs(["zoo"])), 5))) == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a.pt\nb c.pt\n", ["a.pt", "b c.pt"]),
        (b"a.pt\r\n\r\nb.pt", ["a.pt", "b.pt"]),
        (b"a\nb.pt\0c.pt\0", ["a\nb.pt", "c.pt"]),
        (b"a.pt\0\0b.pt", ["a.pt", "b.pt"]),
        (b"a-\xff.pt\n", [os.fsdecode(b"a-\xff.pt")]),
    ],
)
@pytest.mark.parametrize("block", [1 << 16, 7])
def test_a_list_has_lines_or_ends_by_nul(
    content: bytes, expected: list[str], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_BLOCK", block)  # a path is longer than a block of 7 nowhere else
    (tmp_path / "list").write_bytes(content)
    assert list(found(Inputs(list_file=tmp_path / "list"))) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert names("-") == expected


def test_a_list_is_read_as_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"".join(b"net-%05d.pt\n" % number for number in range(4_000)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))))
    monkeypatch.setattr(inputs, "_BLOCK", 1 << 10)
    paths = found(Inputs(["-"]))  # the pipe stays open: reading to its end would wait for ever
    assert next(paths) == "net-00000.pt"
    assert next(paths) == "net-00001.pt"
    os.close(writing)
    assert len(list(paths)) == 3_998


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0"])
def test_an_empty_list_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(DataError, match="lists no path"):
        list(found(Inputs(list_file=tmp_path / "list")))


def test_a_list_that_cannot_be_read_and_no_input_at_all_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        list(found(Inputs(list_file=tmp_path / "list")))
    with pytest.raises(UsageError, match="no checkpoint is named"):
        found(Inputs())


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.pt").symlink_to(tmp_path / "self.pt")
    assert names(str(tmp_path)) == [str(tmp_path / "a.pt"), str(tmp_path / "self.pt")]


def test_addresses_of_stores_are_listed_with_the_patterns() -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("a.pt", "b.safetensors", "notes.txt", "sub/c.pt", ".hidden/d.pt", "sub/optimizer.pt", "bad/scaler.pt"):
        store.pipe(f"/test-inputs/{name}", b"")
    try:
        root = "memory:///test-inputs"
        assert names("memory://test-inputs") == [f"{root}/a.pt", f"{root}/b.safetensors", f"{root}/sub/c.pt"]
        assert names("memory://test-inputs", exclude=["*.pt"]) == [f"{root}/b.safetensors"]
        assert names("memory://test-inputs/a.pt", exclude=["*.pt"]) == ["memory://test-inputs/a.pt"]
        with pytest.raises(CheckpointError, match="nothing is there"):
            names("memory://test-inputs/nowhere")
        with pytest.raises(CheckpointError, match=r"no checkpoint in this folder; looked for \.safetensors"):
            names("memory://test-inputs/bad")
        assert names("memory://test-inputs/bad/scaler.pt") == ["memory://test-inputs/bad/scaler.pt"]
    finally:
        store.rm("/test-inputs", recursive=True)


def test_a_limit_counts_the_networks_of_packed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"a": 3, "b": None, "c": 5, "d": 2}
    monkeypatch.setattr(inputs, "population_of", counts.get)

    def first(limit: int) -> tuple[list[str], dict[str, int]]:
        cut: dict[str, int] = {}
        return list(found(Inputs(list("abcd"), limit=limit), cut)), cut

    assert first(2) == (["a"], {"a": 2})
    assert first(4) == (["a", "b"], {})
    assert first(6) == (["a", "b", "c"], {"c": 2})
    assert first(100) == (list("abcd"), {})


def test_a_file_that_cannot_be_read_counts_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(path: str) -> int:
        raise CheckpointError(path, "a store that cannot be reached", "try again")

    monkeypatch.setattr(inputs, "population_of", unreachable)
    assert list(found(Inputs(["a", "b", "c"], limit=2))) == ["a", "b"]
