"""Print rows: a table for people, plain lines in a pipe, JSON, JSON Lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.cli.options import Format

if TYPE_CHECKING:
    from rich.table import Table


def write_rows(
    rows: Sequence[Any], kind: type, table: Callable[[Iterable[Any]], Table], format: Format | None, stream: TextIO
) -> None:
    """Write rows to a stream.

    Args:
        rows: instances of the dataclass `kind`, whose fields are the columns.
        table: lays the rows out for people.
        format: by default, a table on a terminal and lines of cells separated by tabs elsewhere.
    """
    names = [field.name for field in fields(kind)]
    if format is Format.table or (format is None and stream.isatty()):
        from rich.console import Console

        Console(file=stream, width=None if stream.isatty() else 120).print(table(rows))
    elif format is None:
        _write_plain(rows, names, stream)
    elif format is Format.json:
        stream.write(json.dumps([_rounded(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    elif format is Format.jsonl:
        for row in rows:
            stream.write(json.dumps(_rounded(row), ensure_ascii=False) + "\n")
    else:
        _write_csv(rows, names, stream)


def render_rows(rows: Sequence[Any], kind: type, table: Callable[[Iterable[Any]], Table], format: Format | None) -> str:
    """The rows as text, for a file."""
    text = io.StringIO()
    write_rows(rows, kind, table, format, text)
    # A file's name need not be text: what UTF-8 cannot hold is written as an escape, as on stdout.
    return text.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def _rounded(row: Any) -> dict[str, object]:
    """Six digits after the point, or, of smaller numbers, six in all.

    Beyond them a float32 prediction means nothing, and devices differ.
    """
    values = asdict(row)
    for name, value in values.items():
        if isinstance(value, float):
            values[name] = round(value, 6) if abs(value) >= 1e-3 else float(f"{value:.6g}")
    return values


def _write_csv(rows: Iterable[Any], names: Sequence[str], stream: TextIO) -> None:
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = _rounded(row)
        writer.writerow({n: _csv_cell(v) for n, v in values.items()})


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return _pairs(value) if isinstance(value, dict) else value


def _pairs(values: dict[str, float]) -> str:
    return " ".join(f"{name}:{value:g}" for name, value in values.items())


def _write_plain(rows: Iterable[Any], names: Sequence[str], stream: TextIO) -> None:
    stream.write("\t".join(names) + "\n")
    for row in rows:
        values = [_cell(value) for value in asdict(row).values()]
        stream.write("\t".join(values) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        value = _pairs({name: float(f"{share:.4f}") for name, share in value.items()})
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"
    # A tab or line break in a file's name would break the row.
    return re.sub(r"\s", " ", str(value))
