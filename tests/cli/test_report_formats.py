"""Reports have the formats that rows have."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import pytest

from nfn_cli.cli.options import Format
from nfn_cli.cli.tables.report import write_report


@dataclass(frozen=True)
class Share:
    value: float
    low: float


@dataclass(frozen=True)
class Report:
    head: str
    accuracy: Share
    counts: tuple[int, ...]


REPORT = Report("a-head", Share(0.5, float("nan")), (3, 4))
RECORD = {"head": "a-head", "accuracy": {"value": 0.5, "low": None}, "counts": [3, 4]}


@pytest.mark.parametrize(("format", "lines"), [(Format.json, 11), (Format.jsonl, 1)])
def test_json_is_the_report_in_many_lines_or_one(
    format: Format, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(REPORT, lambda report, stream: None, format)
    out = capsys.readouterr().out
    assert json.loads(out) == RECORD and out.count("\n") == lines


def test_csv_is_a_line_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    write_report(REPORT, lambda report, stream: None, Format.csv)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["figure", "value"],
        ["head", "a-head"],
        ["accuracy.value", "0.5"],
        ["accuracy.low", ""],
        ["counts.0", "3"],
        ["counts.1", "4"],
    ]


def test_a_table_is_what_the_report_prints(capsys: pytest.CaptureFixture[str]) -> None:
    write_report(REPORT, lambda report, stream: print(report.head, file=stream), Format.table)
    assert capsys.readouterr().out == "a-head\n"
