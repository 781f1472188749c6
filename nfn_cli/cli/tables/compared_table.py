"""What `nfn compare` finds, laid out for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nfn_cli.cli.tables.columns import Columns, digits, rows_table
from nfn_cli.cli.tables.layout import Column, Kind, Table


@dataclass(frozen=True)
class LayerRow:
    """One layer of two networks A and B.

    Attributes:
        layer: its name in A.
        before, changed: ‖B − A‖ / ‖A‖ as it lies, and with B aligned to A.
        score: how alike its neurons are in what is each one's own: 1 for copies, about 0 for strangers.
    """

    layer: str
    before: float
    changed: float
    score: float | None


@dataclass(frozen=True)
class LayerPart:
    """One layer in the object that programs read; as `LayerRow`. A distance is None where A's layer is zero."""

    name: str
    before: float | None
    changed: float | None
    score: float | None


@dataclass(frozen=True)
class ComparedRow:
    """All of a comparison, for programs.

    Attributes:
        path, other: A and B.
        verdict: same, rounded, derived, independent or unknown.
        cause: why, in words.
        score: how alike the neurons of both are in what is each one's own; None where it was not needed.
        false_positive_rate: an upper bound of the share of networks trained apart that score so high.
        family, models: the null that this was read off, and how many networks that has.
        log10_p: of the exact test of coordinates that were kept.
        deviation, tolerance: the largest one of an entry that is left, and what is rounding.
        rounded_to: the precision that one of them was rounded to.
        turned: kinds of gauges, such as rotations of a stream, that were fixed first.
        part: what was compared, where the two have different shapes; None where all was.
        before, after: ‖B − A‖ / ‖A‖ over all layers, as they lie and with B aligned.
        basis: exact, or aligned.
        read_as, assumed: how A was read, and what was taken for granted of both.
        element: where the element that brings B near to A was saved.
    """

    path: str
    other: str
    verdict: str
    cause: str
    score: float | None
    false_positive_rate: float | None
    family: str | None
    models: int | None
    log10_p: float | None
    deviation: float | None
    tolerance: float | None
    rounded_to: str | None
    turned: tuple[str, ...]
    part: str | None
    before: float | None
    after: float | None
    layers: tuple[LayerPart, ...]
    basis: str
    read_as: str
    assumed: str | None
    element: str | None


_LAYERS: Columns = {
    Column("layer", Kind.name): lambda row: row.layer,
    Column("before", right=True): lambda row: digits(row.before),
    Column("changed", right=True): lambda row: digits(row.changed),
    Column("score", right=True): lambda row: "-" if row.score is None else f"{row.score:.2f}",
}


def layers_table(rows: Iterable[LayerRow]) -> Table:
    """One line a layer."""
    return rows_table(rows, _LAYERS)
