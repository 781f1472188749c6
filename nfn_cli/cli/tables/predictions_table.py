"""Predictions laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.scoring import ScoreRow

_STRANGE = "unlike the head's training networks"


def population_note(in_distribution: bool | None, distance: float | None = None) -> Cell | str:
    """That a network is unlike those that the head was trained on.

    Args:
        distance: from them, in units of the farthest that counts as like them, where it is to be said.
    """
    if in_distribution is not False:
        return ""
    how_far = "" if distance is None else f", {distance:.1f} times as far as they reach"
    return Cell(f"{_STRANGE}{how_far}", "yellow", "outsider")


# Of rankings as well.
PREDICTED: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("accuracy", right=True): lambda row: f"{row.accuracy:.1%}",
    Column("90 % interval", right=True): lambda row: f"{row.low:.1%} to {row.high:.1%}",
    Column("head", Kind.other): lambda row: row.head or "",
    Column("note"): lambda row: population_note(row.in_distribution, row.distance),
}


def predictions_table(rows: Iterable[ScoreRow]) -> Table:
    """One line a checkpoint: percentages, the head, and what is to be noted."""
    return rows_table(rows, PREDICTED)
