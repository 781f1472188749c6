"""What `nfn predict-accuracy` prints where, and its exit codes. Real heads are met in the end-to-end tests."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nfn_cli.scoring
from nfn_cli.scoring import EngineSettings, Scored, ScoreRow, Stamp, Tally

Nfn = Callable[..., tuple[int, str, str]]
COLUMNS = "path,accuracy,low,high,head,in_distribution,error,distance,bytes,modified,hash,made_with"
MADE_WITH = "head=shipped@[0-9a-f]{12} dtype=float32"


def row_of(path: str) -> Scored[ScoreRow]:
    """Files called bad* fail, others get 50 %."""
    if Path(path).name.startswith("bad"):
        return Scored(ScoreRow(path, error=f"{path}: it is bad; make it good"), None)
    return Scored(ScoreRow(path, 0.5, 0.4, 0.6, "some-head", True), Stamp(9, "77"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the engine. Returns what every call of it was asked for."""
    calls: list[dict[str, Any]] = []

    def run_engine(
        task: object, paths: Iterable[str], settings: EngineSettings, tally: Tally, **others: Any
    ) -> Iterator[list[Scored[ScoreRow]]]:
        paths = list(paths)
        calls.append({"paths": paths, "settings": settings, **others})
        for path in paths:
            yield [row_of(path)]
        tally.assumed["activation relu", "some-head"] += 1

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    return calls


def assert_breaks_off_at(position: int, monkeypatch: pytest.MonkeyPatch, nfn: Nfn, *arguments: object) -> str:
    """Run the command with an engine that is interrupted at a row; what stderr says."""

    def run_engine(task: object, paths: Iterable[str], *_: Any, **__: Any) -> Iterator[list[Scored[ScoreRow]]]:
        for number, path in enumerate(paths):
            if number == position:
                raise KeyboardInterrupt
            yield [row_of(path)]

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    code, out, err = nfn("predict-accuracy", "a.pt", "b.pt", *arguments)
    assert (code, out) == (130, "")
    return err


@pytest.mark.parametrize(
    ("names", "code"), [(["a.pt"], 0), (["a.pt", "b.pt"], 0), (["a.pt", "bad.pt"], 1), (["bad.pt", "bad2.pt"], 3)]
)
@pytest.mark.usefixtures("asked")
def test_the_exit_code_tells_whether_all_some_or_none_failed(names: list[str], code: int, nfn: Nfn) -> None:
    finished = nfn("predict-accuracy", *names, "--format", "jsonl")
    assert finished[0] == code
    assert [json.loads(line)["path"] for line in finished[1].splitlines()] == names


@pytest.mark.usefixtures("asked")
def test_errors_notes_and_the_summary_go_to_stderr_one_line_each(nfn: Nfn) -> None:
    _, out, err = nfn("predict-accuracy", "a.pt", "bad.pt")
    error, note, summary = err.splitlines()
    assert error == "nfn: bad.pt: it is bad; make it good"
    assert note.startswith("nfn: assumed: activation relu, as head some-head reads it")
    assert summary.startswith("nfn: 1 scored, 1 failed in ")
    assert "assumed" not in out and "scored" not in out


@pytest.mark.usefixtures("asked")
def test_one_file_needs_no_summary_and_a_quiet_run_has_none(nfn: Nfn) -> None:
    assert nfn("predict-accuracy", "a.pt")[2].count("\n") == 1  # the note
    assert nfn("predict-accuracy", "a.pt", "b.pt", "--quiet")[2].count("\n") == 1
    assert nfn("predict-accuracy", "a.pt", "b.pt")[2].count("\n") == 2


@pytest.mark.usefixtures("asked")
def test_of_many_failures_of_one_cause_the_first_is_told_and_the_others_counted(nfn: Nfn) -> None:
    names = [f"bad-{number}.pt" for number in range(30)]
    code, out, err = nfn("predict-accuracy", *names, "--format", "jsonl")
    assert code == 3
    assert len(out.splitlines()) == 30
    first, more, _note, summary = err.splitlines()
    assert first == "nfn: bad-0.pt: it is bad; make it good"
    assert more == "nfn: 29 files more: it is bad; first: bad-1.pt, bad-2.pt"
    assert summary.startswith("nfn: 0 scored, 30 failed in ")


def test_options_reach_the_engine(nfn: Nfn, asked: list[dict[str, Any]]) -> None:
    arguments = ["--head", "mine", "--device", "cpu", "--activation", "nn.Tanh()", "--jobs", "3", "--unordered"]
    nfn("predict-accuracy", "a.pt", *arguments, "--batch-size", "7", "--dtype", "bfloat16", "--engine", "ray", "--hash")
    (call,) = asked
    settings = call["settings"]
    assert (call["paths"], call["engine"], call["device"]) == (["a.pt"], "ray", "cpu")
    assert (settings.head, settings.device, settings.activation) == ("mine", "cpu", "tanh")
    assert (settings.jobs, settings.ordered, settings.batch_size) == (3, False, 7)
    assert (settings.dtype, settings.hashed, settings.done) == ("bfloat16", True, frozenset())


def test_without_options_the_engine_decides(nfn: Nfn, asked: list[dict[str, Any]]) -> None:
    nfn("predict-accuracy", "a.pt", "--device", "cpu")
    settings = asked[0]["settings"]
    assert (asked[0]["engine"], settings.head, settings.activation, settings.jobs) == ("local", None, None, None)
    assert (settings.ordered, settings.dtype, settings.hashed) == (True, "float32", False)


@pytest.mark.parametrize("size", ["0", "-1", "many", "1048577", "9" * 5000, "³"])
def test_what_is_no_batch_size_is_wrong_usage(size: str, nfn: Nfn, asked: list[dict[str, Any]]) -> None:
    code, out, err = nfn("predict-accuracy", "a.pt", "--batch-size", size)
    assert (code, out, asked) == (2, "", [])
    assert err.startswith("nfn: --batch-size: ") and err.count("\n") == 1


def test_folders_are_walked_in_natural_order(nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    files = [tmp_path / "run-2.pt", tmp_path / "run-10.safetensors", tmp_path / "sub" / "a.ckpt"]
    files[-1].parent.mkdir()
    for file in [*files, tmp_path / "notes.txt"]:
        file.touch()
    nfn("predict-accuracy", tmp_path)
    assert asked[0]["paths"] == list(map(str, files))


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


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "txt"])
def test_the_suffix_of_a_file_chooses_its_format(suffix: str, nfn: Nfn, tmp_path: Path) -> None:
    file = tmp_path / f"rows.{suffix}"
    assert nfn("predict-accuracy", "a.pt", "--output", file)[0] == 0
    text = file.read_text()
    if suffix == "json":
        assert json.loads(text)[0]["path"] == "a.pt"
    elif suffix == "jsonl":
        row = json.loads(text)
        assert re.fullmatch(MADE_WITH, row.pop("made_with"))
        assert row == {
            "path": "a.pt",
            "accuracy": 0.5,
            "low": 0.4,
            "high": 0.6,
            "head": "some-head",
            "in_distribution": True,
            "error": None,
            "distance": None,
            "bytes": 9,
            "modified": "77",
            "hash": None,
        }
    else:
        assert text.splitlines()[0].split("," if suffix == "csv" else "\t")[:2] == ["path", "accuracy"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.txt"])
def test_an_existing_output_is_refused_before_any_work(
    name: str, nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text("precious")
    code, out, err = nfn("predict-accuracy", "a.pt", "--output", file)
    assert (code, out) == (2, "")
    assert err.startswith(f"nfn: {file}: exists already; pass --overwrite to replace it") and err.count("\n") == 1
    assert ("--resume" in err) is (name in ("rows.csv", "rows.jsonl"))
    assert file.read_text() == "precious"
    assert asked == []


@pytest.mark.usefixtures("asked")
def test_overwrite_replaces_the_output(nfn: Nfn, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("old")
    assert nfn("predict-accuracy", "a.pt", "--format", "csv", "--output", file, "--overwrite")[0] == 0
    assert re.fullmatch(rf"{COLUMNS}\na.pt,0.5,0.4,0.6,some-head,true,,,9,77,,{MADE_WITH}\n", file.read_text())


def test_an_output_in_a_missing_folder_is_refused_before_any_work(
    nfn: Nfn, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    code, out, err = nfn("predict-accuracy", "a.pt", "--output", tmp_path / "missing" / "rows.csv")
    assert (code, out, asked) == (3, "", [])
    assert "its folder does not exist" in err


@pytest.mark.parametrize(("name", "position"), [("rows.csv", 0), ("rows.jsonl", 0), ("rows.json", 1), ("rows.tsv", 1)])
def test_an_interrupt_leaves_the_old_output_alone_until_the_new_one_has_rows(
    name: str, position: int, nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text("old")
    err = assert_breaks_off_at(position, monkeypatch, nfn, "--output", file, "--overwrite")
    assert err.splitlines()[-1].startswith("nfn: interrupted; ")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupt_keeps_the_rows_that_there_are_and_tells_how_to_go_on(
    nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("old")
    err = assert_breaks_off_at(1, monkeypatch, nfn, "--output", file, "--overwrite")
    assert "--resume in place of --overwrite goes on from here" in err.splitlines()[-1]
    with file.open(newline="") as text:
        assert [row["path"] for row in csv.DictReader(text)] == ["a.pt"]
    err = assert_breaks_off_at(1, monkeypatch, nfn, "--output", tmp_path / "other.csv")
    assert f"the same command with --resume goes on from here ({tmp_path / 'other.csv'})" in err.splitlines()[-1]


@pytest.mark.usefixtures("asked")
def test_resume_needs_a_file_that_can_be_continued(nfn: Nfn, tmp_path: Path) -> None:
    for arguments in (["--resume"], ["--resume", "-o", "rows.json"], ["--resume", "-o", "rows.csv", "--overwrite"]):
        code, out, err = nfn("predict-accuracy", "a.pt", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("nfn: --resume: ") and err.count("\n") == 1
