"""Predictions laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.scoring import ScoreRow

if TYPE_CHECKING:
    from rich.table import Table


def predictions_table(rows: Iterable[ScoreRow]) -> Table:
    """One line a checkpoint: percentages, the head, and what is to be noted."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("checkpoint", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("90 % interval", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        if row.error is not None:
            cause = row.error.removeprefix(f"{row.path}: ")
            table.add_row(escape(row.path), "[red]-[/]", "", "", f"[red]{escape(cause)}[/]")
            continue
        interval = f"{row.low:.1%} to {row.high:.1%}"
        note = "" if row.in_population else "[yellow]unlike the head's training networks[/]"
        table.add_row(escape(row.path), f"{row.accuracy:.1%}", interval, escape(row.head or ""), note)
    return table
