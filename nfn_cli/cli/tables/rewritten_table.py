"""Files acted on, laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.cli.tables.columns import Columns, digits, rows_table
from nfn_cli.cli.tables.layout import Column, Kind, Table

if TYPE_CHECKING:
    from nfn_cli.cli.rewriting import RewrittenRow

_RESIDUAL = Column("residual", right=True)
_COLUMNS: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("written to", Kind.other): lambda row: row.output,
    Column("rounding", right=True): lambda row: digits(row.rounding) if row.rounding else "0",
    _RESIDUAL: lambda row: digits(row.residual),
    Column("note", Kind.note): lambda row: _note(row),
}


def rewritten_table(rows: Iterable[RewrittenRow]) -> Table:
    """One line a file; residuals only where there are any."""
    rows = list(rows)
    balanced = any(row.residual is not None for row in rows)
    return rows_table(rows, {column: show for column, show in _COLUMNS.items() if balanced or column != _RESIDUAL})


def _note(row: RewrittenRow) -> str:
    notes = {"dead": row.dead, "duplicates": row.duplicates, "as it was:": row.left, "of the old weights:": row.kept}
    if row.unique is not None:
        notes["not unique:"] = row.unsure if not row.unique else None
        notes["smallest gap"] = digits(row.gap) or None
    return "; ".join(f"{name} {places}" for name, places in notes.items() if places)
