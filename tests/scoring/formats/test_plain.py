"""Plain lines, as in a pipe."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import ScoreRow
from nfn_cli.scoring.formats import text_format


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by a reader that is not ours."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_no_name_breaks_a_row() -> None:
    (line,) = text_format(RowFormat.plain).text([ScoreRow("a\t\n\x1b.pt", 0.5)], [], first=False).splitlines()
    assert line.split("\t")[1] == "0.5000" and "\x1b" not in line
