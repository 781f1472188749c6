"""Print rows: a table for people, plain lines in a pipe, JSON, JSON Lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import TextIO

from nfn_cli.cli.options import Format
from nfn_cli.scoring import ScoreRow


def write_rows(rows: Iterable[ScoreRow], format: Format | None, stream: TextIO) -> None:
    """Write rows to a stream as they come.

    Without a format, a terminal gets a table and anything else plain lines, separated by tabs.
    """
    if format is None:
        _write_table(rows, stream) if stream.isatty() else _write_plain(rows, stream)
    elif format is Format.table:
        _write_table(rows, stream)
    elif format is Format.json:
        stream.write(json.dumps([_rounded(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
    elif format is Format.jsonl:
        for row in rows:
            stream.write(json.dumps(_rounded(row), ensure_ascii=False) + "\n")
    else:
        _write_csv(rows, stream)


def render_rows(rows: Iterable[ScoreRow], format: Format | None) -> str:
    """The rows as text, for a file."""
    text = io.StringIO()
    write_rows(rows, format, text)
    # A file's name need not be text: what UTF-8 cannot hold is written as an escape, as on stdout.
    return text.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def _rounded(row: ScoreRow) -> dict[str, object]:
    """Six digits: beyond them a float32 prediction means nothing, and devices differ."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(row).items()}


def _write_csv(rows: Iterable[ScoreRow], stream: TextIO) -> None:
    writer = csv.DictWriter(stream, [field.name for field in fields(ScoreRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = _rounded(row)
        if row.in_population is not None:
            values["in_population"] = str(row.in_population).lower()
        writer.writerow(values)


def _write_plain(rows: Iterable[ScoreRow], stream: TextIO) -> None:
    stream.write("\t".join(field.name for field in fields(ScoreRow)) + "\n")
    for row in rows:
        values = [_cell(value) for value in asdict(row).values()]
        stream.write("\t".join(values) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}"
    # A tab or line break in a file's name would break the row.
    return re.sub(r"\s", " ", str(value))


def _write_table(rows: Iterable[ScoreRow], stream: TextIO) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("checkpoint", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("90 % interval", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        if row.error is not None:
            cause = row.error.removeprefix(f"{row.path}: ")
            table.add_row(escape(row.path), "[red]-[/]", "", "", f"[red]{escape(cause)}[/]")
            continue
        interval = f"{row.low:.1%} to {row.high:.1%}"
        note = "" if row.in_population else "[yellow]unlike the head's training networks[/]"
        table.add_row(escape(row.path), f"{row.accuracy:.1%}", interval, escape(row.head or ""), note)
    Console(file=stream, width=None if stream.isatty() else 120).print(table)
