"""Which head reads a network, and what is assumed for it."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.scoring import ScoreRow, score

Save = Callable[..., Path]
# The package's `score` is the function of this module.
MODULE = importlib.import_module("nfn_cli.scoring.predicting")


def read(paths: list[Path], **options: str) -> tuple[list[ScoreRow], list[str]]:
    """Rows and notes."""
    notes: list[str] = []
    rows = list(score(paths, device="cpu", on_note=notes.append, **options))
    return rows, notes


@pytest.mark.parametrize("form", ["name", "folder"])
def test_a_head_is_named_by_name_or_by_folder(form: str, shipped: Path, save: Save) -> None:
    head = "b-tanh" if form == "name" else str(shipped / "b-tanh")
    rows, notes = read([save("a.safetensors", activation="tanh"), save("b.safetensors")], head=head)
    assert rows[0].head == "b-tanh" and rows[0].error is None
    assert rows[1].error is not None and "b-tanh: the activation is relu, the head reads tanh" in rows[1].error
    assert notes == []


@pytest.mark.usefixtures("shipped")
def test_a_folder_of_ones_own_head_goes_by_its_own_name(models: Path, save: Save, tmp_path: Path) -> None:
    shutil.copytree(models / "b-tanh", tmp_path / "mine")
    rows, _ = read([save("a.safetensors", activation="tanh")], head=str(tmp_path / "mine"))
    assert rows[0].head == "mine"
    assert rows[0].accuracy == read([save("a.safetensors", activation="tanh")])[0][0].accuracy


@pytest.mark.usefixtures("shipped")
def test_an_assumed_activation_is_noted_once_for_all_files_of_a_head(save: Save) -> None:
    paths = [save(f"{i}.safetensors", activation=None, seed=i) for i in range(3)]
    paths += [save("c.safetensors", activation=None, conv=True), save("d.safetensors")]
    rows, notes = read(paths)
    assert [row.head for row in rows] == ["a-relu"] * 3 + ["c-conv", "a-relu"]
    assert notes == [
        "assumed: activation relu, as head a-relu reads it (3 files do not say); see --activation",
        "assumed: activation tanh, as head c-conv reads it (1 file does not say); see --activation",
    ]


@pytest.mark.usefixtures("shipped")
def test_a_named_heads_activation_is_assumed(save: Save) -> None:
    rows, notes = read([save("a.safetensors", activation=None)], head="b-tanh")
    assert rows[0].head == "b-tanh"
    assert notes == ["assumed: activation tanh, as head b-tanh reads it (1 file does not say); see --activation"]
    assert rows[0].accuracy == read([save("a.safetensors", activation="tanh")])[0][0].accuracy


@pytest.mark.usefixtures("shipped")
def test_a_given_activation_holds_for_all_files_and_needs_no_note(save: Save) -> None:
    paths = [save("a.safetensors", activation=None), save("b.safetensors", activation="relu")]
    rows, notes = read(paths, activation="nn.Tanh()")
    assert [row.head for row in rows] == ["b-tanh", "b-tanh"]
    assert notes == []


@pytest.mark.usefixtures("shipped")
def test_a_sidecar_tells_the_activation(save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors", activation=None)
    (tmp_path / "a.yaml").write_text("activation: tanh\n")
    rows, notes = read([path])
    assert (rows[0].head, notes) == ("b-tanh", [])


@pytest.mark.usefixtures("shipped")
def test_a_file_that_fails_is_not_in_the_note(save: Save, tmp_path: Path) -> None:
    rows, notes = read([tmp_path / "missing.pt", save("a.safetensors", activation=None)])
    assert rows[0].error is not None
    assert "1 file does not say" in notes[0]
    _, notes = read([tmp_path / "missing.pt"])
    assert notes == []


@pytest.mark.usefixtures("shipped")
def test_only_heads_that_are_needed_are_loaded(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load_head = MODULE.load_head
    monkeypatch.setattr(
        MODULE, "load_head", lambda name, device, task: (loaded.append(name), load_head(name, device, task=task))[1]
    )
    read([save("a.safetensors"), save("b.safetensors", seed=1), save("c.safetensors", hidden=9)])
    assert loaded == ["a-relu"]
