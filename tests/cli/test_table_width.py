"""How wide a table is: as `COLUMNS` says, as the terminal is, and in a pipe or a file as wide as it is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.cli.options import Format
from nfn_cli.cli.output import render_rows, write_rows
from nfn_cli.cli.tables.predictions_table import predictions_table
from nfn_cli.cli.widths import width_of
from nfn_cli.scoring import ScoreRow

Nfn = Callable[..., Any]
ROWS = [ScoreRow("zoo/" * 50 + "a.pt", 0.5, 0.4, 0.6, "small-cnn-relu", True)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def written(stream: io.StringIO) -> list[str]:
    write_rows(ROWS, ScoreRow, predictions_table, Format.table, stream)
    return stream.getvalue().splitlines()


def test_in_a_pipe_nothing_is_cut() -> None:
    assert width_of(io.StringIO()) is None
    header, row = written(io.StringIO())
    assert ROWS[0].path in row and "small-cnn-relu" in row
    assert not header.endswith(" ") and not row.endswith(" ")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("columns", [60, 100])
def test_columns_is_respected(columns: int, stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")  # no colours
    lines = written(stream())
    assert columns - 30 < max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", ["", "0", "-5", "wide", "²"])
def test_columns_that_are_no_number_count_for_nothing(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(io.StringIO()) is None


def test_without_columns_a_terminal_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((97, 40)))
    assert width_of(Terminal()) == 97


def test_a_file_is_as_wide_as_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = render_rows(ROWS, ScoreRow, predictions_table, Format.table)
    assert ROWS[0].path in text


def test_the_table_of_inspect_is_not_padded(nfn: Nfn) -> None:
    sample = Path(__file__).parent.parent / "samples" / "relu-1.safetensors"
    lines = nfn("inspect", sample, "--format", "table").out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert sum(line.startswith("assumed") for line in lines) == 1
    assert any("layers follow one another" in line and "the file would not show" in line for line in lines)
