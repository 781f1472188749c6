"""The same rows as a table, plain lines, JSON, JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from nfn_cli.cli.options import Format
from nfn_cli.cli.output import render_rows, write_rows
from nfn_cli.cli.tables.predictions_table import predictions_table
from nfn_cli.scoring import ScoreRow

FIELDS = ["path", "accuracy", "low", "high", "head", "in_distribution", "error", "distance"]
INSIDE = ScoreRow("zoo/a.pt", 0.612345678, 0.5, 0.7, "small-cnn-relu", True)
OUTSIDE = ScoreRow("zoo/b.pt", 0.1, 0.0, 0.2, "small-cnn-relu", False)
FAILED = ScoreRow("zoo/c.pt", error="zoo/c.pt: the file is empty; copy or save it again")
ROWS = [INSIDE, OUTSIDE, FAILED]


def rendered(rows: list[ScoreRow], format: Format | None) -> str:
    return render_rows(rows, ScoreRow, predictions_table, format)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_json_is_a_list_of_objects_with_the_documented_fields() -> None:
    records = json.loads(rendered(ROWS, Format.json))
    assert [list(record) for record in records] == [FIELDS] * 3
    assert list(records[0].values()) == ["zoo/a.pt", 0.612346, 0.5, 0.7, "small-cnn-relu", True, None, None]
    assert records[1]["in_distribution"] is False
    assert list(records[2].values()) == ["zoo/c.pt", None, None, None, None, None, FAILED.error, None]


def test_json_of_no_rows_is_an_empty_list() -> None:
    assert json.loads(rendered([], Format.json)) == []


def test_json_lines_hold_the_objects_of_json_one_a_line() -> None:
    lines = rendered(ROWS, Format.jsonl).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(rendered(ROWS, Format.json))


def test_csv_has_the_documented_columns_and_empty_cells_for_what_is_not_known() -> None:
    records = list(csv.DictReader(io.StringIO(rendered(ROWS, Format.csv))))
    assert [list(record) for record in records] == [FIELDS] * 3
    assert list(records[0].values()) == ["zoo/a.pt", "0.612346", "0.5", "0.7", "small-cnn-relu", "true", "", ""]
    assert records[1]["in_distribution"] == "false"
    assert list(records[2].values()) == ["zoo/c.pt", "", "", "", "", "", FAILED.error, ""]


def test_csv_quotes_what_needs_quoting() -> None:
    row = ScoreRow('a,"b".pt', error="a comma, and\na line break")
    record = next(csv.DictReader(io.StringIO(rendered([row], Format.csv), newline="")))
    assert (record["path"], record["error"]) == (row.path, row.error)


def test_a_pipe_gets_a_header_and_lines_of_tab_separated_cells() -> None:
    header, *lines = rendered(ROWS, None).splitlines()
    assert header.split("\t") == FIELDS
    assert [line.split("\t") for line in lines] == [
        ["zoo/a.pt", "0.6123", "0.5000", "0.7000", "small-cnn-relu", "true", "", ""],
        ["zoo/b.pt", "0.1000", "0.0000", "0.2000", "small-cnn-relu", "false", "", ""],
        ["zoo/c.pt", "", "", "", "", "", FAILED.error, ""],
    ]


@pytest.mark.parametrize("name", ["a\tb.pt", "a\nb.pt", "a\rb.pt"])
def test_a_plain_line_stays_one_line_of_eight_cells(name: str) -> None:
    text = rendered([ScoreRow(name, error="bad")], None)
    assert [len(line.split("\t")) for line in text.splitlines()] == [8, 8]


def test_of_no_rows_a_terminal_gets_nothing() -> None:
    terminal = Terminal()
    write_rows([], ScoreRow, predictions_table, None, terminal)
    write_rows([], ScoreRow, predictions_table, Format.table, terminal)
    assert terminal.getvalue() == ""
    assert rendered([], None) == "\t".join(FIELDS) + "\n"


def test_a_terminal_gets_a_table_by_default() -> None:
    stream = Terminal()
    write_rows(ROWS, ScoreRow, predictions_table, None, stream)
    assert "\t" not in stream.getvalue()
    assert "61.2%" in stream.getvalue()


def test_the_table_shows_percentages_the_head_and_what_is_wrong() -> None:
    header, inside, outside, failed = rendered(ROWS, Format.table).splitlines()
    assert header.split() == ["checkpoint", "accuracy", "90", "%", "interval", "head", "note"]
    assert inside.split() == ["zoo/a.pt", "61.2%", "50.0%", "to", "70.0%", "small-cnn-relu"]
    assert "unlike the head's training networks" in outside and "times" not in outside
    # Why is told on stderr.
    assert failed.split() == ["zoo/c.pt", "failed"]


def test_brackets_in_a_path_are_no_markup() -> None:
    text = rendered([ScoreRow("[red]a[/].pt", 0.1, 0.0, 0.2, "[bold]head", True)], Format.table)
    assert "[red]a[/].pt" in text
    assert "[bold]head" in text


@pytest.mark.parametrize("format", [None, *Format])
def test_a_name_that_is_no_text_is_written_as_an_escape(format: Format | None) -> None:
    text = rendered([ScoreRow("a-\udcff.pt", error="bad")], format)
    assert "a-\\udcff.pt" in text
    text.encode("utf-8")


def test_the_table_says_how_far_a_network_is_from_what_a_head_for_any_classifier_knows() -> None:
    row = ScoreRow("zoo/b.pt", 0.1, 0.0, 0.2, "any-classifier", False, distance=3.24)
    assert "unlike the head's training networks, 3.2 times as far as they reach" in rendered([row], Format.table)
