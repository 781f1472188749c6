"""CSV with a header."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import ScoreRow
from nfn_cli.scoring.formats import text_format

COLUMNS = ["path", "accuracy", "low", "high", "head", "in_distribution", "error", "distance"]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by a reader that is not ours."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ['a"b.pt', "a,b.pt", "a\nb.pt", "a\rb.pt", " a.pt"])
def test_any_name_comes_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text_format(RowFormat.csv).text([ScoreRow(name)], COLUMNS, first=True), "utf-8", newline="")
    assert [row["path"] for row in rows_of(path)] == [name]
