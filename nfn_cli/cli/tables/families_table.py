"""What `nfn families` finds, laid out for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nfn_cli.cli.tables.columns import FAILED, Columns, digits, rows_table
from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table

_STYLES = {"root": "cyan", "stranger": "dim"}
_INDENT = "  "


@dataclass(frozen=True)
class FamilyRow:
    """One file.

    Attributes:
        family: a number, the largest family first; strangers have one each.
        orbit: a number; files of one hold the same network but for disguise.
        relation: root, derived, first, copy, disguised, rounded or stranger.
        of: the file that it is a relative or copy of.
        guess: what of this is a guess: `root`, that it is one; or `direction`, which of the two was first.
        distance: of derived networks, ‖g·B − A‖ / ‖A‖ after alignment.
        score, false_positive_rate: of derived networks, see `nfn compare`.
        signature: in short.
        read_as, assumed: how it was read, and what was taken for granted in this.
    """

    path: str
    family: int | None = None
    orbit: int | None = None
    relation: str | None = None
    of: str | None = None
    guess: str | None = None
    distance: float | None = None
    score: float | None = None
    false_positive_rate: float | None = None
    signature: str | None = None
    read_as: str | None = None
    assumed: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class PairRow:
    """Two files that were compared, each the first of its orbit.

    Attributes:
        verdict: same, rounded, derived, independent or unknown. cause: why.
        before, after: the distance before and after alignment. changed: the layer that differs most.
    """

    path: str
    other: str
    verdict: str
    cause: str
    score: float | None = None
    false_positive_rate: float | None = None
    log10_p: float | None = None
    before: float | None = None
    after: float | None = None
    changed: str | None = None


def families_table(rows: Iterable[FamilyRow]) -> Table:
    """One line a file: each tree from its root down."""
    rows = list(rows)
    depths = depths_of(rows)

    def named(row: FamilyRow) -> Cell:
        return Cell(_INDENT * depths.get(row.path, 0) + row.path)

    columns: Columns = {
        Column("checkpoint", Kind.name): named,
        Column("family", right=True): lambda row: "" if row.family is None else str(row.family),
        Column("relation"): lambda row: Cell(row.relation or "", _STYLES.get(row.relation or "", "")),
        Column("of", Kind.other): lambda row: row.of or "",
        Column("guess"): lambda row: row.guess or "",
        Column("distance", right=True): lambda row: digits(row.distance),
        Column("score", right=True): lambda row: "" if row.score is None else f"{row.score:.3f}",
    }
    return Table(list(columns), [_cells(row, columns) for row in rows])


def _cells(row: FamilyRow, columns: Columns) -> list[Cell | str]:
    if row.error is not None:
        return [row.path, "", FAILED, *[""] * (len(columns) - 3)]
    return [show(row) for show in columns.values()]


def depths_of(rows: Iterable[FamilyRow]) -> Mapping[str, int]:
    """How deep in its tree each file stands; a row comes behind the one that it is of."""
    depths: dict[str, int] = {}
    for row in rows:
        depths[row.path] = 0 if row.of is None else depths.get(row.of, 0) + 1
    return depths


_PAIRS: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("other", Kind.other): lambda row: row.other,
    Column("verdict"): lambda row: row.verdict,
    Column("before", right=True): lambda row: digits(row.before),
    Column("after", right=True): lambda row: digits(row.after),
    Column("score", right=True): lambda row: "" if row.score is None else f"{row.score:.3f}",
    Column("most changed", Kind.other): lambda row: row.changed or "",
    Column("note", Kind.note): lambda row: row.cause,
}


def pairs_table(rows: Iterable[PairRow]) -> Table:
    """One line a pair."""
    return rows_table(rows, _PAIRS)
