"""Classifications laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Column, Kind, Table
from nfn_cli.cli.tables.predictions_table import population_note
from nfn_cli.scoring import ClassRow

_COLUMNS: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("class", Kind.other): lambda row: row.label or "",
    Column("probability", right=True, short="prob."): lambda row: f"{row.probability:.1%}",
    Column("entropy", right=True): lambda row: f"{row.entropy:.2f} bit",
    Column("next"): lambda row: _following(row),
    Column("head", Kind.other): lambda row: row.head or "",
    Column("note"): lambda row: population_note(row.in_distribution),
}


def classes_table(rows: Iterable[ClassRow]) -> Table:
    """One line an INR: class, probability, entropy, the classes that come next, the head, and what is to be noted."""
    return rows_table(rows, _COLUMNS)


def _following(row: ClassRow) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in list((row.probabilities or {}).items())[1:])
