"""A ranking laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.scoring import RankRow

if TYPE_CHECKING:
    from rich.table import Table


def ranking_table(rows: Iterable[RankRow]) -> Table:
    """One line a network, the best first."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("checkpoint", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("90 % interval", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        interval = f"{row.low:.1%} to {row.high:.1%}"
        note = "" if row.in_population else "[yellow]unlike the head's training networks[/]"
        table.add_row(str(row.rank), escape(row.path), f"{row.accuracy:.1%}", interval, escape(row.head), note)
    return table
