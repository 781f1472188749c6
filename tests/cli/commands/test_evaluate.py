"""`nfn evaluate`: one report, in every format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_a_report_says_the_same_in_json_and_in_rows(nfn: Nfn) -> None:
    told = {
        format: nfn("evaluate", "small-cnn-relu", TESTS / "population" / "relu", "--split", "all", "--format", format)
        for format in ("json", "jsonl", "csv")
    }
    assert {finished.code for finished in told.values()} == {0}
    report = json.loads(told["json"].out)
    assert json.loads(told["jsonl"].out) == report and told["jsonl"].out.count("\n") == 1
    figures = {row["figure"]: row["value"] for row in csv.DictReader(told["csv"].out.splitlines())}
    assert float(figures["plain.tau.value"]) == pytest.approx(report["plain"]["tau"]["value"], abs=1e-6)
