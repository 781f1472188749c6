"""Two runs of `nfn zoo` into one folder: the second is refused at its start, and takes nothing from the first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from nfn_cli.checkpoints import save_tensors
from nfn_cli.errors import DataError, NfnError
from nfn_cli.folders import claimed, held
from nfn_cli.zoo.published.packed_writer import imported_zoo

Nfn = Callable[..., Any]

# Runs `nfn`, but stops where the zoo's folder has been claimed, until a line comes.
PAUSED = """
import sys
from contextlib import contextmanager
import nfn_cli.folders as folders

claimed = folders.claimed

@contextmanager
def paused(folder):
    with claimed(folder):
        print("claimed", flush=True)
        sys.stdin.readline()
        yield

folders.claimed = paused
from nfn_cli.cli.app import main
main()
"""


@contextmanager
def first(arguments: list[object]) -> Iterator[subprocess.Popen[str]]:
    """A process that holds its folder, and has not begun to write."""
    command = [sys.executable, "-c", PAUSED, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        yield process


@pytest.fixture
def published(small_cnn_zoo: Callable[..., Any], tmp_path: Path) -> Path:
    """A Small CNN Zoo that was downloaded in miniature."""
    small_cnn_zoo(tmp_path / "cifar10")
    return tmp_path / "cifar10"


def commands(kind: str, archive: Path, published: Path) -> list[object]:
    images = ["--data", archive, "--device", "cpu", "--workers", 1]
    return {
        "import": ["zoo", "import", "small-cnn-zoo", published, "--activation", "relu"],
        "cnn": ["zoo", "cnn", *images, "--activation", "relu", "--count", 1, "--epochs", 1, "--batch-size", 8],
        "inr": ["zoo", "inr", *images, "--count", 1, "--steps", 1],
    }[kind]


@pytest.mark.parametrize("kind", ["import", "cnn", "inr"])
def test_the_second_run_is_refused_and_the_first_ends_well(
    kind: str, nfn: Nfn, archive: Path, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "zoo"
    command = [*commands(kind, archive, published), "--out", out]
    with first(command) as process:
        code, _, err = nfn(*command)
        assert (code, err) == (3, f"nfn: {out}: another run is writing to it; wait for its end\n")
        assert out.is_dir()
        process.communicate("go on\n")
    assert process.returncode == 0
    assert (out / "labels.csv").exists() and list(out.glob("*.safetensors"))


def test_a_killed_run_holds_nothing(nfn: Nfn, archive: Path, published: Path, tmp_path: Path) -> None:
    command = [*commands("import", archive, published), "--out", tmp_path / "zoo"]
    with first(command) as process:
        process.kill()
    assert nfn(*command).code == 0


@pytest.mark.parametrize("kind", ["import", "cnn", "inr"])
@pytest.mark.parametrize("place", ["file", "file/zoo", "/proc/none/zoo"])
def test_a_folder_that_cannot_be_made_is_one_line(
    place: str, kind: str, nfn: Nfn, archive: Path, published: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    code, _, err = nfn(*commands(kind, archive, published), "--out", tmp_path / place)
    assert (code, err.count("\n")) == (3, 1)
    assert "folder" in err and (tmp_path / "file").read_text() == "precious"


def test_where_nothing_can_be_held_the_loser_removes_nothing_of_the_winners(tmp_path: Path) -> None:
    network = {"weight": torch.zeros(1, 2)}
    with pytest.raises(NfnError, match="exists already"), imported_zoo(tmp_path) as loser:
        save_tensors(tmp_path / "part-00000.safetensors", {})
        loser.add(network, ["a network"])
        loser.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.safetensors"]
    (tmp_path / "part-00000.safetensors").unlink()
    with pytest.raises(NfnError, match="exists already"), imported_zoo(tmp_path) as loser:
        loser.add(network, ["a network"])
        loser.flush()
        for name in ("zoo.yaml", "labels.csv"):
            (tmp_path / name).write_text("the winner's")
        loser.complete({}, lambda: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "zoo.yaml"]


def test_folders_that_were_made_for_nothing_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError), claimed(tmp_path / "a" / "b"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError), claimed(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
        raise ValueError
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(DataError, match="another run is writing to it"), held(tmp_path):
            pass
        with pytest.raises(DataError, match="another run is writing to it"), claimed(tmp_path):
            pass
    with held(tmp_path):
        pass
