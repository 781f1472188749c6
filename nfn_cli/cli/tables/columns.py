"""Tables of rows: each column is stated once, with what it shows of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nfn_cli.cli.tables.layout import Cell, Column, Table

FAILED = Cell("failed", "red")
Columns = Mapping[Column, Callable[[Any], Cell | str]]


def rows_table(rows: Iterable[Any], columns: Columns) -> Table:
    """One line a row. A row with an `error` shows its first column, and that it failed."""
    return Table(list(columns), [_cells(row, columns) for row in rows])


def _cells(row: Any, columns: Columns) -> list[Cell | str]:
    shows = list(columns.values())
    if getattr(row, "error", None) is not None:
        return [shows[0](row), FAILED, *[""] * (len(shows) - 2)]
    return [show(row) for show in shows]


def digits(value: float | None) -> str:
    """Two digits, such as `1.2e-07`; nothing for None."""
    return "" if value is None else f"{value:.1e}"


def yes_or_no(passed: bool) -> Cell:
    """In green or red."""
    return Cell("yes", "green") if passed else Cell("no", "red")
