"""Heads laid out for people."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.head_cards import HeadCard

# Of a card's figures, those that say most: the first of these that it has, else its first.
_MOST = {"Kendall's τ": "τ {:g}", "accuracy": "accuracy {:g}", "PSNR of the edited networks": "PSNR {:g} dB"}
_DETAILS = re.compile(r" \d+(x\d+)*(?=,)|, from .*| of pictures$")

_COLUMNS: Columns = {
    Column("head", Kind.name): lambda row: row.name,
    Column("task"): lambda row: row.task,
    Column("measured"): lambda row: _measured(row),
    Column("reads"): lambda row: Cell(row.reads, short=_DETAILS.sub("", row.reads)),
}


def heads_table(rows: Iterable[HeadCard]) -> Table:
    """One line a head: what it does, how well, and on which networks."""
    return rows_table(rows, _COLUMNS)


def _measured(row: HeadCard) -> str:
    name = next((name for name in (*_MOST, *row.figures) if name in row.figures), None)
    return "" if name is None else _MOST.get(name, f"{name} {{:g}}").format(row.figures[name])
