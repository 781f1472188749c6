"""Names of files and what is in them command no terminal, break no row, and are whole for programs."""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import save_file

from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import Format
from nfn_cli.cli.output import render_rows, write_rows
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.scoring_output import print_all
from nfn_cli.cli.tables.predictions_table import predictions_table
from nfn_cli.scoring import Inputs, ScoreRow, found

Nfn = Callable[..., Any]
# A screen that is wiped, a title, a line break, a tab, a C1 control, a change of direction, a delete.
HOSTILE = "\x1b[2J\x1b]0;title\x07 \n\t\x9b31m \u202egnp \u2066 \x7f"


def assert_harmless(text: str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in text), ascii(text)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network whose file, tensors and metadata have hostile names, beside a file that is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    path = Path(f"a{HOSTILE}.safetensors")
    tensors = {f"0{HOSTILE}.weight": torch.ones(3, 2), f"1{HOSTILE}.weight": torch.ones(2, 3)}
    save_file(tensors, path, {"activation": f"relu{HOSTILE}", HOSTILE: HOSTILE})
    Path(f"b{HOSTILE}.pt").write_bytes(b"PK" + HOSTILE.encode())
    return path


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "."],
        ["inspect", ".", "--activation", "relu", "--chain", "--tensors"],
        ["inspect", ".", "--format", "table"],
        ["inspect", ".", "--format", "json"],
        ["canonicalize", ".", "-o", "out", "--activation", "relu", "--chain"],
        ["canonicalize", ".", "-o", "out", "--activation", "relu", "--format", "json"],
        ["canonicalize", ".", "-o", "out", "--activation", "relu", "--format", "table"],
        ["predict-accuracy", "."],
        ["predict-accuracy", ".", "--format", "table"],
        ["predict-accuracy", ".", "--format", "json"],
        ["predict-accuracy", ".", "--format", "jsonl"],
        ["classify-inr", ".", "--format", "table"],
        ["rank", "."],
        ["rank", ".", "--unique"],
        ["families", ".", "--chain"],
        ["families", ".", "--chain", "--format", "table", "--html", "page.html"],
        ["families", ".", "--pairs", "--format", "json"],
        ["render", "."],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("hostile")
def test_nothing_commands_a_terminal(
    arguments: list[str], terminal: bool, nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    finished = nfn(*arguments)
    assert finished.out or finished.err
    assert_harmless(finished.out)
    assert_harmless(finished.err)


ROW = ScoreRow(f"zoo/{HOSTILE}.pt", 0.5, 0.4, 0.6, f"head{HOSTILE}", True)


def test_a_plain_row_stays_one_row() -> None:
    text = render_rows([ROW], ScoreRow, predictions_table, None)
    assert_harmless(text)
    assert [len(line.split("\t")) for line in text.splitlines()] == [8, 8]
    assert "\\x1b[2J" in text and "\\u202e" in text and "\\n\\t" in text


@pytest.mark.parametrize("format", [Format.json, Format.jsonl])
def test_json_is_harmless_and_has_the_true_name(format: Format) -> None:
    text = render_rows([ROW], ScoreRow, predictions_table, format)
    assert_harmless(text)
    parsed = json.loads(text)
    assert (parsed[0] if isinstance(parsed, list) else parsed)["path"] == ROW.path


def test_csv_has_the_true_name_but_on_a_terminal() -> None:
    text = render_rows([ROW], ScoreRow, predictions_table, Format.csv)
    assert next(csv.DictReader(io.StringIO(text, newline="")))["path"] == ROW.path
    terminal = Terminal()
    write_rows([ROW], ScoreRow, predictions_table, Format.csv, terminal)
    assert_harmless(terminal.getvalue())


def test_lines_that_go_to_a_terminal_after_all_are_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_all(ROW.path)
    assert capsys.readouterr().out == ROW.path
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_all(ROW.path)
    assert_harmless(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (".", ["./-rf.pt", "./sub/a.pt"]),
        ("./", ["./-rf.pt", "./sub/a.pt"]),
        ("./sub", ["./sub/a.pt"]),
        ("sub", ["sub/a.pt"]),
    ],
)
def test_what_is_below_here_begins_with_a_dot(
    given: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("-rf.pt", "sub/a.pt"):
        (tmp_path / name).touch()
    assert list(found(Inputs([given]))) == names
    # Patterns are as they were.
    assert list(found(Inputs([given], include=["sub/*.pt"]))) == names[-1:]
    assert list(found(Inputs([given], include=["./sub/*.pt"]))) == names[-1:]


def test_what_is_said_of_a_fit_and_its_interrupt_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), interrupt_message(lambda: "nothing is kept", Path(f"a{HOSTILE}")):
        raise KeyboardInterrupt
    with Progress(quiet=True, stage=HOSTILE) as progress:
        assert_harmless(progress._line())
        progress.stage(HOSTILE)
        assert_harmless(progress._line())
        progress.rename(HOSTILE)
        assert_harmless(progress._line())
    told = capsys.readouterr().err
    assert_harmless(told)
    assert told.count("\n") == 1 and told.startswith("nfn: a")


def test_commands_say_things_by_what_makes_them_harmless() -> None:
    import nfn_cli.cli as room

    # These write what is harmless already, or escape it themselves.
    own = {
        "failures.py",
        "progress.py",
        "streams.py",
    }
    for source in Path(next(iter(room.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert source.name in own or not any(key.arg == "file" for key in node.keywords), source.name
