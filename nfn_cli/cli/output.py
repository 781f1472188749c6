"""Print rows: a table for people, plain lines in a pipe, JSON, JSON Lines and CSV for programs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.cli.options import Format
from nfn_cli.phrases import lines_for_terminal
from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring.formats import as_utf8, json_text, rounded, text_format

if TYPE_CHECKING:
    from nfn_cli.cli.tables.layout import Block

Layout = Callable[[Iterable[Any]], "Block"]  # rows laid out for people


def write_rows(
    rows: Sequence[Any], kind: type, table: Layout, format: Format | None, stream: TextIO, *, whole: bool = False
) -> None:
    """Write rows to a stream.

    Args:
        rows: instances of the dataclass `kind`, whose fields are the columns.
        table: lays the rows out for people.
        format: by default, a table on a terminal and lines of cells separated by tabs elsewhere. A table is as wide
            as `COLUMNS` says, or the terminal; in a pipe or a file, as wide as it is.
        whole: a table is as wide as it is, whatever `COLUMNS` says.
    """
    chosen = (RowFormat.table if stream.isatty() else RowFormat.plain) if format is None else RowFormat(format)
    if chosen is RowFormat.table:
        from nfn_cli.cli.tables.layout import print_blocks
        from nfn_cli.cli.widths import width_of

        if rows:  # a header alone says nothing
            print_blocks([table(rows)], stream, width=None if whole else width_of(stream))
        return
    writer = text_format(chosen)
    text = writer.text(rows, [field.name for field in fields(kind)], first=True) + writer.end(empty=not rows)
    stream.write(lines_for_terminal(text) if stream.isatty() else text)


def write_object(row: Any, format: Format, stream: TextIO) -> None:
    """Write one object to a stream, not a list: over several lines as JSON, on one as JSON Lines.

    Args:
        row: a dataclass; others may be in it.
    """
    text = json_text(_with_digits(asdict(row)), indent=2 if format is Format.json else None) + "\n"
    stream.write(lines_for_terminal(text) if stream.isatty() else text)


def _with_digits(value: Any) -> Any:
    """The same with numbers that have as many digits as in rows."""
    if isinstance(value, dict):
        return {name: _with_digits(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_with_digits(own) for own in value]
    return rounded(value) if isinstance(value, float) else value


def render_rows(rows: Sequence[Any], kind: type, table: Layout, format: Format | None) -> str:
    """The rows as text, for a file."""
    text = io.StringIO()
    write_rows(rows, kind, table, format, text, whole=True)
    return as_utf8(text.getvalue()).decode("utf-8")
