"""Classifications laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.cli.tables.predictions_table import FAILED, population_note
from nfn_cli.scoring import ClassRow


def classes_table(rows: Iterable[ClassRow]) -> Table:
    """One line an INR: class, probability, entropy, the classes that come next, the head, and what is to be noted."""
    columns = (
        Column("checkpoint", Kind.name),
        Column("class", Kind.other),
        Column("probability", right=True, short="prob."),
        Column("entropy", right=True),
        Column("next"),
        Column("head", Kind.other),
        Column("note"),
    )
    return Table(columns, [_row(row) for row in rows])


def _row(row: ClassRow) -> list[Cell | str]:
    if row.error is not None:
        return [row.path, FAILED, "", "", "", "", ""]
    following = list((row.probabilities or {}).items())[1:]
    return [
        row.path,
        row.label or "",
        f"{row.probability:.1%}",
        f"{row.entropy:.2f} bit",
        ", ".join(f"{name} {share:.1%}" for name, share in following),
        row.head or "",
        population_note(row.in_distribution),
    ]
