"""Print rows: a table for people, plain lines in a pipe, JSON, JSON Lines and CSV for programs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.cli.options import Format
from nfn_cli.phrases import escaped, lines_for_terminal
from nfn_cli.scoring.formats import as_utf8, csv_lines, json_line, json_text, pairs, plain_values

if TYPE_CHECKING:
    from nfn_cli.cli.tables.layout import Block

Layout = Callable[[Iterable[Any]], "Block"]  # rows laid out for people


def write_rows(
    rows: Sequence[Any],
    kind: type,
    table: Layout,
    format: Format | None,
    stream: TextIO,
    *,
    header: bool = True,
    whole: bool = False,
) -> None:
    """Write rows to a stream.

    Args:
        rows: instances of the dataclass `kind`, whose fields are the columns.
        table: lays the rows out for people.
        format: by default, a table on a terminal and lines of cells separated by tabs elsewhere. A table is as wide
            as `COLUMNS` says, or the terminal; in a pipe or a file, as wide as it is.
        header: of plain lines and CSV, begin with the columns' names.
        whole: a table is as wide as it is, whatever `COLUMNS` says.
    """
    names = [field.name for field in fields(kind)]
    if format is Format.table or (format is None and stream.isatty()):
        from nfn_cli.cli.tables.layout import print_blocks, width_of

        if not rows:
            return  # a header alone tells nobody anything
        print_blocks([table(rows)], stream, width=None if whole else width_of(stream))
    elif format is None:
        _write_plain(rows, names, stream, header=header)
    elif format is Format.json:
        stream.write(json_text([plain_values(row) for row in rows], indent=2) + "\n")
    elif format is Format.jsonl:
        for row in rows:
            stream.write(json_line(plain_values(row)))
    else:
        text = csv_lines([plain_values(row) for row in rows], names, header=header)
        stream.write(lines_for_terminal(text) if stream.isatty() else text)


def render_rows(
    rows: Sequence[Any],
    kind: type,
    table: Layout,
    format: Format | None,
    *,
    header: bool = True,
) -> str:
    """The rows as text, for a file."""
    text = io.StringIO()
    write_rows(rows, kind, table, format, text, header=header, whole=True)
    return as_utf8(text.getvalue()).decode("utf-8")


def _write_plain(rows: Iterable[Any], names: Sequence[str], stream: TextIO, *, header: bool) -> None:
    if header:
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
        value = pairs({name: float(f"{share:.4f}") for name, share in value.items()})
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"
    # A tab or line break in a file's name would break the row, other signs may command a terminal.
    return escaped(str(value))
