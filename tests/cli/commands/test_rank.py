"""What `nfn rank` prints where, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nfn_cli.scoring
from nfn_cli.scoring import EngineSettings, Scored, ScoreRow, Tally

Nfn = Callable[..., tuple[int, str, str]]
COLUMNS = ["rank", "path", "accuracy", "low", "high", "head", "in_distribution", "distance"]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> list[EngineSettings]:
    """Replace the engine: the file's stem is its accuracy in percent; bad* fail, and above 80 % nobody is known."""
    asked: list[EngineSettings] = []

    def run_engine(
        task: object, paths: Iterable[str], settings: EngineSettings, tally: Tally, **_: Any
    ) -> Iterator[list[Scored[ScoreRow]]]:
        asked.append(settings)
        for path in paths:
            if path.startswith("bad"):
                yield [Scored(ScoreRow(path, error=f"{path}: it is bad; make it good"), None)]
            else:
                value = int(Path(path).stem.split("-")[0]) / 100
                yield [Scored(ScoreRow(path, value, value - 0.01, value + 0.01, "some-head", value < 0.8), None)]

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    return asked


def test_a_pipe_gets_plain_lines_the_best_first(nfn: Nfn, settings: list[EngineSettings]) -> None:
    code, out, err = nfn("rank", "30.pt", "50.pt", "90.pt", "--device", "cpu")
    assert code == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        COLUMNS,
        ["1", "90.pt", "0.9000", "0.8900", "0.9100", "some-head", "false", ""],
        ["2", "50.pt", "0.5000", "0.4900", "0.5100", "some-head", "true", ""],
        ["3", "30.pt", "0.3000", "0.2900", "0.3100", "some-head", "true", ""],
    ]
    assert err.startswith("nfn: 3 scored, 0 failed in ") and err.count("\n") == 1
    assert not settings[0].ordered


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "table"])
def test_the_formats_tell_the_same(format: str, nfn: Nfn) -> None:
    code, out, _ = nfn("rank", "30.pt", "50.pt", "--format", format)
    assert code == 0
    if format == "table":
        header, first, _ = out.splitlines()
        assert header.split()[:3] == ["rank", "checkpoint", "accuracy"]
        assert first.split() == ["1", "50.pt", "50.0%", "49.0%", "to", "51.0%", "some-head"]
        return
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
    else:
        rows = json.loads(out) if format == "json" else [json.loads(line) for line in out.splitlines()]
    assert [list(row) for row in rows] == [COLUMNS] * 2
    assert [(str(row["rank"]), row["path"], float(row["accuracy"])) for row in rows] == [
        ("1", "50.pt", 0.5),
        ("2", "30.pt", 0.3),
    ]


def test_names_alone_are_ready_for_other_programs(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    names = ["20-a\nb.pt", "30.pt", os.fsdecode(b"70-\xff.pt")]
    assert nfn("rank", *names, "--format", "path0")[0] == 0
    assert nfn("rank", *names[1:], "--format", "path")[0] == 0
    assert written.getvalue() == b"70-\xff.pt\x0030.pt\x0020-a\nb.pt\0" + b"70-\xff.pt\n30.pt\n"


def test_the_best_few(nfn: Nfn) -> None:
    assert nfn("rank", "30.pt", "50.pt", "40.pt", "--top", "2", "--format", "path")[1] == "50.pt\n40.pt\n"


def test_strangers_are_noted_and_can_be_left_out(nfn: Nfn) -> None:
    out = nfn("rank", "30.pt", "90.pt", "--format", "table")[1]
    assert "unlike the head's training networks" in out.splitlines()[1]
    assert nfn("rank", "30.pt", "90.pt", "--format", "path", "--in-population")[1] == "30.pt\n"


def test_failed_files_are_told_and_left_out(nfn: Nfn) -> None:
    code, out, err = nfn("rank", "30.pt", "bad.pt", "--format", "path")
    assert (code, out) == (1, "30.pt\n")
    assert err.splitlines()[0] == "nfn: bad.pt: it is bad; make it good"
    assert nfn("rank", "bad.pt", "--format", "path")[:2] == (3, "")
    assert nfn("rank", "bad.pt", "--format", "table")[:2] == (3, "")  # no header above nothing


def test_an_interrupt_prints_no_half_ranking(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_engine(task: object, paths: Iterable[str], *_: Any, **__: Any) -> Iterator[list[Scored[ScoreRow]]]:
        yield [Scored(ScoreRow("30.pt", 0.3, 0.2, 0.4, "h", True), None)]
        raise KeyboardInterrupt

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    assert nfn("rank", "30.pt", "40.pt") == (130, "", "nfn: interrupted; nothing was ranked\n")
