"""A table for people."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from nfn_cli.cli.output import write_rows
from nfn_cli.cli.tables.predictions_table import predictions_table
from nfn_cli.row_formats import Format
from nfn_cli.scoring import ScoreRow


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, as far as words show them: the name comes first."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [{"path": words[0]} for words in lines if words and words[0].endswith((".pt", ".safetensors"))]


def test_without_rows_there_is_no_header_either() -> None:
    text = io.StringIO()
    write_rows([], ScoreRow, predictions_table, Format.table, text)
    assert text.getvalue() == ""
