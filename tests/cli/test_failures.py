"""What stderr hears of files that fail: each cause once, with a count."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.cli.failures import FailuresAsTheyCome, cause_of, failure_lines, tell
from nfn_cli.cli.rewriting import reading_lines
from nfn_cli.phrases import assumption

Nfn = Callable[..., Any]


def failed(cause: str, *names: str) -> list[tuple[str, str]]:
    return [(name, f"{name}: {cause}") for name in names]


def test_files_of_many_causes_are_a_line_each() -> None:
    assert failure_lines([*failed("bad", "a.pt"), *failed("worse", "b.pt"), *failed("bad", "c.pt")]) == [
        "a.pt: bad",
        "c.pt: bad",
        "b.pt: worse",
    ]


def test_many_files_of_one_cause_are_one_line() -> None:
    lines = failure_lines([*failed("odd", "z.pt"), *failed("bad; make it good", *(f"{i}.pt" for i in range(37)))])
    assert lines == ["z.pt: odd", "37 files: bad; make it good; first: 0.pt, 1.pt"]


def test_of_very_many_causes_the_last_are_counted() -> None:
    lines = failure_lines(failed(f"cause {i}", f"{i}.pt")[0] for i in range(1_030))
    assert len(lines) == 21 and lines[-1] == "... and 1,010 files more failed, of other causes"


def test_a_cause_is_told_at_once_and_counted_at_the_end() -> None:
    told = FailuresAsTheyCome()
    assert told.take("a.pt", "a.pt: bad; mend it") == "a.pt: bad; mend it"
    assert told.take("b.pt", "b.pt: worse; mend it") == "b.pt: worse; mend it"
    assert told.end() == []
    assert told.take("c.pt", "c.pt: bad; mend it") is None
    assert told.end() == ["1 file more: bad; c.pt"]
    assert [told.take(f"{i}.pt", f"{i}.pt: bad; mend it") for i in range(1_000)] == [None] * 1_000
    assert told.end() == ["1,001 files more: bad; first: c.pt, 0.pt"]


def test_no_number_of_causes_fills_the_memory_or_the_screen() -> None:
    told = FailuresAsTheyCome()
    lines = [told.take(f"{i}.pt", f"{i}.pt: cause {i}") for i in range(1_000)]
    assert sum(line is not None for line in lines) == 20
    assert told.end() == ["... and 980 files more failed, of other causes"]


@pytest.mark.parametrize("name", ["a.pt", "a: b.pt", "a\x1b[2J.pt", "a\nb.pt", "a  b.pt"])
def test_a_cause_is_what_stands_behind_the_name(name: str) -> None:
    from nfn_cli.errors import CheckpointError

    assert cause_of(name, str(CheckpointError(name, "bad", "mend it"))) == "bad; mend it"


@pytest.mark.parametrize(
    "command", [["inspect"], ["canonicalize", "-o", "out"], ["edit-inr", "-o", "out", "--edit", "dilate"]]
)
def test_commands_over_files_tell_a_cause_once(
    command: list[str], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        (tmp_path / f"{i}.pt").touch()
    finished = nfn(*command, *(f"{i}.pt" for i in range(4)))
    assert finished.code == 3
    assert finished.err == "nfn: 4 files: the file is empty; copy or save it again; first: 0.pt, 1.pt\n"


def test_files_that_are_there_already_are_one_line(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    names = [f"{i}.safetensors" for i in range(3)]
    for name in names:
        save_file({"0.weight": torch.ones(3, 2), "2.weight": torch.ones(1, 3)}, name, {"activation": "relu"})
        (tmp_path / "out" / name).touch()
    finished = nfn("canonicalize", *names, "-o", "out")
    there = "out/0.safetensors, out/1.safetensors"
    line = f"nfn: 3 files: the file exists already; pass --overwrite to replace it; first: {there}\n"
    assert (finished.code, finished.err) == (3, line)


def test_render_tells_a_cause_once(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        (tmp_path / f"{i}.pt").touch()
    finished = nfn("render", "0.pt", "1.pt", "2.pt")
    assert finished.err.count("the file is empty") == 1 and "nfn: 3 files: " in finished.err


def test_assumptions_are_told_once_with_a_count() -> None:
    readings = [("a → b, relu", "no skips"), ("a → b → c, relu", "no skips"), ("a → b, relu", "no skips"), (None, None)]
    assert reading_lines(readings) == [
        "read as a → b, relu (2 files)",
        "read as a → b → c, relu (1 file)",
        "assumed: no skips (3 files)",
    ]
    assert reading_lines(readings[:1]) == ["read as a → b, relu", "assumed: no skips"]


def test_an_assumption_has_the_same_words_everywhere() -> None:
    assert assumption("activation sin", 1) == "assumed: activation sin (1 file does not say)"
    assert assumption("x", 1_200, head="h", remedy="see --x") == (
        "assumed: x, as head h reads it (1,200 files do not say); see --x"
    )


def test_a_line_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell("a\x1b[2J\n\u202eb.pt: bad")
    assert capsys.readouterr().err == "nfn: a\\x1b[2J\\n\\u202eb.pt: bad\n"


def test_a_file_of_which_many_copies_fail_is_told_once() -> None:
    assert failure_lines([("a.pt", "a.pt: damaged; copy it again")] * 5) == ["a.pt: damaged; copy it again"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LONG = "runs/a model.pt: its tensors form no network of any known family; give its module by --model FILE.py:FACTORY"


def test_a_terminal_gets_long_lines_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys, "stderr", Terminal())
    tell(LONG)
    lines = sys.stderr.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) > 2 and max(map(len, lines)) <= 50
    assert [line[:2] for line in lines] == ["nf", *["  "] * (len(lines) - 1)]
    assert " ".join(line.strip() for line in lines) == f"nfn: {LONG}"


def test_a_path_that_is_longer_than_the_terminal_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", Terminal())
    tell(f"cannot be read: {'x' * 60}")
    assert sys.stderr.getvalue() == f"nfn: cannot be read:\n  {'x' * 60}\n"  # type: ignore[attr-defined]


def test_a_pipe_gets_long_lines_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    tell(LONG)
    assert sys.stderr.getvalue() == f"nfn: {LONG}\n"
