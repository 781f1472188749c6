"""What `nfn predict-accuracy` prints where, and its exit codes. Real heads are met in the end-to-end tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import nfn_cli.scoring
from nfn_cli.scoring import ScoreRow

Nfn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace scoring: files called bad* fail, others get 50 %. Returns the arguments of every call."""
    calls: list[dict[str, Any]] = []

    def score(
        paths: Sequence[Path], *, on_row: Callable[[], None], on_note: Callable[[str], None], **others: Any
    ) -> Iterator[ScoreRow]:
        calls.append({"paths": list(paths), **others})
        for path in paths:
            on_row()
            if path.name.startswith("bad"):
                yield ScoreRow(str(path), error=f"{path}: it is bad; make it good")
            else:
                yield ScoreRow(str(path), 0.5, 0.4, 0.6, "some-head", True)
        on_note("activation relu assumed")

    monkeypatch.setattr(nfn_cli.scoring, "score", score)
    return calls


@pytest.mark.parametrize(
    ("names", "code"), [(["a.pt"], 0), (["a.pt", "b.pt"], 0), (["a.pt", "bad.pt"], 1), (["bad.pt", "bad2.pt"], 3)]
)
@pytest.mark.usefixtures("asked")
def test_the_exit_code_tells_whether_all_some_or_none_failed(names: list[str], code: int, nfn: Nfn) -> None:
    finished = nfn("predict-accuracy", *names, "--format", "jsonl")
    assert finished[0] == code
    assert [json.loads(line)["path"] for line in finished[1].splitlines()] == names


@pytest.mark.usefixtures("asked")
def test_notes_and_errors_go_to_stderr_one_line_each(nfn: Nfn) -> None:
    _, out, err = nfn("predict-accuracy", "a.pt", "bad.pt")
    assert err.splitlines() == ["nfn: activation relu assumed", "nfn: bad.pt: it is bad; make it good"]
    assert "assumed" not in out


def test_options_reach_scoring(nfn: Nfn, asked: list[dict[str, Any]]) -> None:
    nfn("predict-accuracy", "a.pt", "--head", "mine", "--device", "cpu", "--activation", "tanh")
    assert asked == [{"paths": [Path("a.pt")], "head": "mine", "device": "cpu", "activation": "tanh"}]


def test_folders_are_walked_in_natural_order(nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    files = [tmp_path / "run-2.pt", tmp_path / "run-10.safetensors", tmp_path / "sub" / "a.ckpt"]
    files[-1].parent.mkdir()
    for file in [*files, tmp_path / "notes.txt"]:
        file.touch()
    nfn("predict-accuracy", tmp_path)
    assert asked[0]["paths"] == files


def test_an_empty_folder_is_an_error(nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    code, out, err = nfn("predict-accuracy", tmp_path)
    assert (code, out, asked) == (3, "", [])
    assert err.startswith(f"nfn: {tmp_path}: no checkpoint in this folder; ")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("asked")
def test_output_holds_the_rows_and_stdout_nothing(nfn: Nfn, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    code, out, _ = nfn("predict-accuracy", "a.pt", "bad.pt", "--format", "json", "--output", file)
    assert (code, out) == (1, "")
    assert [row["accuracy"] for row in json.loads(file.read_text())] == [0.5, None]
    assert list(tmp_path.iterdir()) == [file]


def test_an_existing_output_is_refused_before_any_work(nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("precious")
    assert nfn("predict-accuracy", "a.pt", "--output", file) == (
        2,
        "",
        f"nfn: {file}: exists already; pass --overwrite to replace it\n",
    )
    assert file.read_text() == "precious"
    assert asked == []


@pytest.mark.usefixtures("asked")
def test_overwrite_replaces_the_output(nfn: Nfn, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("old")
    assert nfn("predict-accuracy", "a.pt", "--format", "csv", "--output", file, "--overwrite")[0] == 0
    assert file.read_text() == ("path,accuracy,low,high,head,in_population,error\na.pt,0.5,0.4,0.6,some-head,true,\n")


def test_an_output_in_a_missing_folder_is_refused_before_any_work(
    nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    code, out, err = nfn("predict-accuracy", "a.pt", "--output", tmp_path / "missing" / "rows.csv")
    assert (code, out, asked) == (3, "", [])
    assert "its folder does not exist" in err


def test_a_failure_half_way_leaves_the_old_output_alone(
    nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def score(paths: Sequence[Path], **_: Any) -> Iterator[ScoreRow]:
        yield ScoreRow(str(paths[0]), 0.5, 0.4, 0.6, "some-head", True)
        raise KeyboardInterrupt

    monkeypatch.setattr(nfn_cli.scoring, "score", score)
    file = tmp_path / "rows.csv"
    file.write_text("old")
    assert nfn("predict-accuracy", "a.pt", "b.pt", "--output", file, "--overwrite")[0] == 130
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
