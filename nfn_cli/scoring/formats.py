"""How rows are written: values with the digits that mean something, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

_UNSEEN = re.compile(r"[^\n -~]")  # JSON breaks lines between values alone
_ESCAPE = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")


def plain_values(row: Any) -> dict[str, Any]:
    """The fields of a row with six digits after the point, or, of smaller numbers, six in all.

    Beyond them a float32 prediction means nothing, and devices differ.
    """
    values = asdict(row)
    for name, value in values.items():
        if isinstance(value, float):
            values[name] = rounded(value)
    return values


def rounded(value: float) -> float:
    """Six digits after the point, or, of smaller numbers, six in all."""
    return round(value, 6) if abs(value) >= 1e-3 else float(f"{value:.6g}")


def csv_lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, header: bool) -> str:
    """Rows as CSV, with the header line if asked for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # Not every Python quotes a carriage return, and none reads one that is not quoted.
    careful = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    if header:
        writer.writerow(columns)
    for row in rows:
        cells = [csv_cell(row[name]) for name in columns]
        (careful if any(isinstance(cell, str) and "\r" in cell for cell in cells) else writer).writerow(cells)
    return text.getvalue()


def csv_cell(value: object) -> object:
    """`true` and `false` for truth values, `name:number name:number` for mappings."""
    if isinstance(value, bool):
        return str(value).lower()
    return pairs(value) if isinstance(value, dict) else value


def pairs(values: Mapping[str, float]) -> str:
    """A mapping in one cell: `name:number`, separated by blanks."""
    return " ".join(f"{name}:{value:g}" for name, value in values.items())


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""JSON with letters of every script, but what could command a terminal as an escape that every parser reads.

    >>> print(json_text({"path": "\u65e5\x9b2J\U000e0001"}))
    {"path": "\u65e5\u009b2J\udb40\udc01"}
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def json_line(row: Mapping[str, Any]) -> str:
    """A row as one line of JSON."""
    return json_text(row) + "\n"


def as_utf8(text: str) -> bytes:
    r"""UTF-8. A file's name need not be text: what UTF-8 cannot hold is written as an escape, as on stdout.

    >>> as_utf8("a-\udcff.pt")
    b'a-\\udcff.pt'
    """
    return text.encode("utf-8", "backslashreplace")


def unescaped(text: str) -> str:
    r"""A name with the characters whose escapes `as_utf8` may have written.

    >>> ascii(unescaped("a-\\udcff.pt"))
    "'a-\\udcff.pt'"
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
