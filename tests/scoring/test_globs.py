"""Globs with `**`: each checkpoint once, whatever links there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from nfn_cli.errors import CheckpointError
from nfn_cli.scoring import Inputs, found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints at several depths, with links that lead back up."""
    for name in ("zoo/2.pt", "zoo/10.pt", "zoo/a/x.pt", "zoo/a/b/y.safetensors", "zoo/notes.txt", "zoo/.hidden/z.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    # Python's glob follows each of these forty times, and both in every order.
    (tmp_path / "zoo" / "a" / "up").symlink_to("..")
    (tmp_path / "zoo" / "a" / "b" / "top").symlink_to("../..")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("zoo/**/*.pt", ["zoo/2.pt", "zoo/10.pt", "zoo/a/x.pt"]),
        ("zoo/**", ["zoo/2.pt", "zoo/10.pt", "zoo/a/b/y.safetensors", "zoo/a/x.pt"]),
        ("**/b/*", ["zoo/a/b/y.safetensors"]),
        ("zoo/**/a/*.pt", ["zoo/a/x.pt"]),
        ("z*/**/?.pt", ["zoo/2.pt", "zoo/a/x.pt"]),
        ("zoo/a/**/x.pt", ["zoo/a/x.pt"]),
    ],
)
def test_two_stars_mean_any_number_of_folders(pattern: str, expected: list[str]) -> None:
    assert list(found(Inputs([pattern]))) == expected


def test_an_absolute_pattern_gives_absolute_paths(folder: Path) -> None:
    assert list(found(Inputs([f"{folder}/**/y*"]))) == [f"{folder}/zoo/a/b/y.safetensors"]


@pytest.mark.parametrize("pattern", ["zoo/**/*.onnx", "nowhere/**/*.pt", "zoo/2.pt/**"])
def test_a_pattern_that_nothing_matches_is_an_error(pattern: str) -> None:
    with pytest.raises(CheckpointError, match="no file matches"):
        list(found(Inputs([pattern])))
