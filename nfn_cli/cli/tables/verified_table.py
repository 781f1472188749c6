"""What `nfn verify` finds, laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nfn_cli.cli.tables.columns import Columns, digits, rows_table, yes_or_no
from nfn_cli.cli.tables.layout import Column, Kind, Table


@dataclass(frozen=True)
class LayerRow:
    """One layer of two networks A and B.

    Attributes:
        permuted: ‖g·A − B‖ / ‖B‖ with the best permutations found; None where SciPy is missing for it.
        aligned: the same with scales, signs and phases as well.
        deviation: of the latter, the largest of one entry, relative to its size.
        same: whether that is rounding.
    """

    layer: str
    permuted: float | None
    aligned: float
    deviation: float
    tolerance: float
    same: bool


@dataclass(frozen=True)
class CheckRow:
    """One thing that has to stay as it is under the group: the largest deviation over all sampled elements."""

    check: str
    samples: int
    deviation: float
    tolerance: float
    passed: bool


_LAYERS: Columns = {
    Column("layer", Kind.name): lambda row: row.layer,
    Column("permuted", right=True): lambda row: digits(row.permuted) or "-",
    Column("aligned", right=True): lambda row: digits(row.aligned),
    Column("deviation", right=True): lambda row: digits(row.deviation),
    Column("same"): lambda row: yes_or_no(row.same),
}
_CHECKS: Columns = {
    Column("check", Kind.name): lambda row: row.check,
    Column("samples", right=True): lambda row: str(row.samples),
    Column("deviation", right=True): lambda row: digits(row.deviation),
    Column("tolerance", right=True): lambda row: f"{row.tolerance:.0e}",
    Column("passed"): lambda row: yes_or_no(row.passed),
}


def layers_table(rows: Iterable[LayerRow]) -> Table:
    """One line a layer."""
    return rows_table(rows, _LAYERS)


def checks_table(rows: Iterable[CheckRow]) -> Table:
    """One line a check."""
    return rows_table(rows, _CHECKS)
