"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import ScoreRow
from nfn_cli.scoring.formats import text_format


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by a reader that is not ours."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_name_with_a_line_break_stays_in_its_line() -> None:
    (line,) = text_format(RowFormat.jsonl).text([ScoreRow("a\nb.pt")], ["path"], first=True).splitlines()
    assert json.loads(line)["path"] == "a\nb.pt"
