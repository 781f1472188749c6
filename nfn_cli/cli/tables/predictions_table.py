"""Predictions laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.scoring import ScoreRow

FAILED = Cell("failed", "red")
_STRANGE = Cell("unlike the head's training networks", "yellow", "outsider")


def predictions_table(rows: Iterable[ScoreRow]) -> Table:
    """One line a checkpoint: percentages, the head, and what is to be noted."""
    columns = (
        Column("checkpoint", Kind.name),
        Column("accuracy", right=True),
        Column("90 % interval", right=True),
        Column("head", Kind.other),
        Column("note"),
    )
    return Table(columns, [_row(row) for row in rows])


def interval(low: float | None, high: float | None) -> str:
    """Such as `12.3% to 16.8%`."""
    return f"{low:.1%} to {high:.1%}"


def population_note(in_distribution: bool | None) -> Cell | str:
    """That a network is unlike those that the head was trained on."""
    return _STRANGE if in_distribution is False else ""


def _row(row: ScoreRow) -> list[Cell | str]:
    if row.error is not None:
        return [row.path, FAILED, "", "", ""]
    note = population_note(row.in_distribution)
    return [row.path, f"{row.accuracy:.1%}", interval(row.low, row.high), row.head or "", note]
