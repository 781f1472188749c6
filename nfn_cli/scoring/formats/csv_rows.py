"""CSV with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from nfn_cli.scoring.formats.lines import LineFormat
from nfn_cli.scoring.formats.row_format import Record
from nfn_cli.scoring.formats.values import as_utf8, pairs


class CsvRows(LineFormat):
    """See `LineFormat`."""

    def header(self, columns: Sequence[str]) -> str:
        """See `LineFormat`."""
        return _written(columns)

    def read_header(self, line: bytes) -> bytes:
        """See `LineFormat`: an editor may have marked, quoted or ended it in its own way."""
        try:
            (names,) = csv.reader([line.decode("utf-8-sig")])
        except ValueError:
            return line
        return as_utf8(self.header(names)) if line.endswith(b"\n") else line

    def line(self, record: Record, columns: Sequence[str]) -> str:
        """See `LineFormat`."""
        return _written([_cell(record[name]) for name in columns])

    def is_whole(self, lines: bytes) -> bool:
        """See `LineFormat`: a quoted name may hold line breaks; a row ends where the quotes do."""
        return lines.count(b'"') % 2 == 0

    def parsed(self, line: str, columns: Sequence[str]) -> Any:
        """See `LineFormat`."""
        (cells,) = csv.reader(io.StringIO(line, newline=""))
        return dict(zip(columns, cells, strict=True))


FORMAT = CsvRows()


def _written(cells: Iterable[object]) -> str:
    text, cells = io.StringIO(), list(cells)
    # Not every Python quotes a carriage return, and none reads one that is not quoted.
    careful = any(isinstance(cell, str) and "\r" in cell for cell in cells)
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if careful else csv.QUOTE_MINIMAL).writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    """`true` and `false` for truth values, `name:number name:number` for mappings."""
    if isinstance(value, bool):
        return str(value).lower()
    return pairs(value) if isinstance(value, dict) else value
