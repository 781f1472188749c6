"""The formats that rows are written in. Adding one is adding its entry here, and its file in `nfn_cli.scoring.formats`
(`csv_rows` for csv, and so on). No torch here: the choices and the help of `--format` come from this table.

>>> RowFormat.csv.suffixes, RowFormat.csv.resumable
(('.csv',), True)
>>> "plain" in [format.value for format in ScoreFormat]
False
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias


@dataclass(frozen=True)
class Entry:
    """What is known of a format without writing any row.

    Attributes:
        help: what it is, in one line.
        suffixes: of files that are written so where no format is given.
        resumable: its file grows as rows are made, and a later run can continue it.
        on_stdout: whether it can go to stdout.
        chosen: whether `--format` offers it.
    """

    name: str
    help: str
    suffixes: tuple[str, ...] = ()
    resumable: bool = False
    on_stdout: bool = True
    chosen: bool = True


class RowFormat(str, Enum):
    """How rows are written; the attributes are those of `Entry`."""

    table = Entry("table", "a table for people, as on a terminal")
    json = Entry("json", "one JSON list of objects", (".json",))
    jsonl = Entry("jsonl", "JSON Lines: one object a line", (".jsonl",), resumable=True)
    csv = Entry("csv", "CSV with a header", (".csv",), resumable=True)
    parquet = Entry("parquet", "a folder of Parquet files", (".parquet",), resumable=True, on_stdout=False)
    plain = Entry("plain", "cells separated by tabs, as in a pipe", (".tsv", ".txt"), chosen=False)

    help: str
    suffixes: tuple[str, ...]
    resumable: bool
    on_stdout: bool
    chosen: bool

    def __new__(cls, entry: Entry | str) -> RowFormat:
        """The member of an entry; its value is the name, by which `RowFormat("csv")` finds it."""
        assert isinstance(entry, Entry)
        own = str.__new__(cls, entry.name)
        own._value_ = entry.name
        own.help, own.suffixes, own.resumable = entry.help, entry.suffixes, entry.resumable
        own.on_stdout, own.chosen = entry.on_stdout, entry.chosen
        return own


# What any lines are called.
TEXT_SUFFIX = ".txt"
SUFFIXES = {suffix: format for format in RowFormat for suffix in format.suffixes}
RESUMABLE = tuple(format for format in RowFormat if format.resumable)

if TYPE_CHECKING:
    ScoreFormat: TypeAlias = RowFormat
    Format: TypeAlias = RowFormat
else:
    ScoreFormat = Enum("ScoreFormat", {own.name: own.value for own in RowFormat if own.chosen}, type=str)
    ScoreFormat.__doc__ = "How rows are written, to stdout or a file."
    Format = Enum("Format", {own.name: own.value for own in ScoreFormat if RowFormat(own).on_stdout}, type=str)
    Format.__doc__ = "How rows are written to stdout."

FORMAT_HELP = (
    "A table on a terminal, else plain lines; of a file, what its suffix says: "
    + ", ".join(suffix for suffix, format in SUFFIXES.items() if format.chosen)
    + ", or "
    + " and ".join(RowFormat.plain.suffixes)
    + " for plain lines."
)


def listed(formats: tuple[RowFormat, ...]) -> str:
    """Their names in a sentence.

    >>> listed((RowFormat.csv, RowFormat.jsonl, RowFormat.parquet))
    'csv, jsonl and parquet'
    """
    *others, last = sorted(format.value for format in formats)
    return f"{', '.join(others)} and {last}" if others else last
