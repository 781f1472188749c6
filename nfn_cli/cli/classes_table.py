"""Classifications laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.scoring import ClassRow

if TYPE_CHECKING:
    from rich.table import Table


def classes_table(rows: Iterable[ClassRow]) -> Table:
    """One line an INR: class, probability, entropy, the classes that come next, the head, and errors."""
    from rich.markup import escape
    from rich.table import Table

    rows = list(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("checkpoint", overflow="fold")
    table.add_column("class", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("entropy", justify="right", no_wrap=True)
    table.add_column("next", no_wrap=True)
    table.add_column("head", no_wrap=True)
    noted = any(row.error is not None or row.in_population is False for row in rows)
    if noted:
        table.add_column("note", overflow="fold")
    for row in rows:
        if row.error is not None:
            cause = row.error.removeprefix(f"{row.path}: ")
            table.add_row(escape(row.path), "[red]-[/]", "", "", "", "", f"[red]{escape(cause)}[/]")
            continue
        following = list((row.probabilities or {}).items())[1:]
        table.add_row(
            escape(row.path),
            escape(row.label or ""),
            f"{row.probability:.1%}",
            f"{row.entropy:.2f} bit",
            escape(", ".join(f"{name} {share:.1%}" for name, share in following)),
            escape(row.head or ""),
            *(["" if row.in_population else "[yellow]unlike the head's training networks[/]"] if noted else []),
        )
    return table
