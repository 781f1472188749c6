"""Edited files laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Column, Kind, Table

if TYPE_CHECKING:
    from nfn_cli.cli.commands.edit_inr import EditedRow

_COLUMNS: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("written to", Kind.other): lambda row: row.output,
    Column("change", right=True): lambda row: f"{row.change:.1%}",
    Column("head", Kind.other): lambda row: row.head or "",
}


def edited_table(rows: Iterable[EditedRow]) -> Table:
    """One line a file: where it was written, how far its weights have changed, and the head."""
    return rows_table(rows, _COLUMNS)
