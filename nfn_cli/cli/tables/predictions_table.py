"""Predictions laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.scoring import ScoreRow

_STRANGE = Cell("unlike the head's training networks", "yellow", "outsider")


def population_note(in_distribution: bool | None) -> Cell | str:
    """That a network is unlike those that the head was trained on."""
    return _STRANGE if in_distribution is False else ""


# Of rankings as well.
PREDICTED: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("accuracy", right=True): lambda row: f"{row.accuracy:.1%}",
    Column("90 % interval", right=True): lambda row: f"{row.low:.1%} to {row.high:.1%}",
    Column("head", Kind.other): lambda row: row.head or "",
    Column("note"): lambda row: population_note(row.in_distribution),
}


def predictions_table(rows: Iterable[ScoreRow]) -> Table:
    """One line a checkpoint: percentages, the head, and what is to be noted."""
    return rows_table(rows, PREDICTED)
