"""A ranking laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.layout import Column, Kind, Table
from nfn_cli.cli.tables.predictions_table import interval, population_note
from nfn_cli.scoring import RankRow


def ranking_table(rows: Iterable[RankRow]) -> Table:
    """One line a network, the best first."""
    columns = (
        Column("rank", right=True),
        Column("checkpoint", Kind.name),
        Column("accuracy", right=True),
        Column("90 % interval", right=True),
        Column("head", Kind.other),
        Column("note"),
    )
    return Table(
        columns,
        [
            [
                str(row.rank),
                row.path,
                f"{row.accuracy:.1%}",
                interval(row.low, row.high),
                row.head,
                population_note(row.in_distribution),
            ]
            for row in rows
        ],
    )
