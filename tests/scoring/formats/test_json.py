"""JSON: one list of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import ScoreRow
from nfn_cli.scoring.formats import text_format

COLUMNS = ["path", "accuracy", "low", "high", "head", "in_distribution", "error", "distance"]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by a reader that is not ours."""
    return list(json.loads(path.read_text(encoding="utf-8")))


def test_it_is_a_list_even_without_rows() -> None:
    own = text_format(RowFormat.json)
    rows = [ScoreRow("a.pt", 0.5, 0.25, 0.75, "h", True), ScoreRow("b.pt", error="b.pt: bad; mend it")]
    assert json.loads(own.text([], COLUMNS, first=True) + own.end(empty=True)) == []
    assert len(json.loads(own.text(rows, COLUMNS, first=True) + own.end(empty=False))) == 2
