"""What `nfn align` has done, laid out for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nfn_cli.cli.tables.columns import Columns, digits, rows_table
from nfn_cli.cli.tables.layout import Column, Kind, Table


@dataclass(frozen=True)
class AlignedRow:
    """One network B that was brought near to another one, A.

    Attributes:
        path, reference, output: B, A and the file that was written.
        before, after: the distances to A of B, and of B aligned: the root mean square of the layers' ‖B − A‖ / ‖A‖.
        moved, neurons, scaled, scales, flipped, signs: see `nfn_cli.symmetry.moves.Moves`.
        rounding: largest error of rounding to the file's dtype, relative to the largest entry of its tensor.
        turned: kinds of gauges that were fixed next to A's, such as a rotation of the stream.
        interpolated: the share of B, where a point between the two was written; `after` is of B itself also then.
        data: on what a BatchNorm's running statistics of that point were estimated.
        kept: entries of B's file beside the weights, such as an optimizer's state, that still belong to the old ones.
        read_as, assumed: how B was read, and what was taken for granted in this.
        left: tensors beside the network's layers, which stay as they are in B.
    """

    path: str
    reference: str
    output: str
    before: float
    after: float
    moved: int
    neurons: int
    scaled: int
    scales: int
    flipped: int
    signs: int
    rounding: float
    turned: str | None = None
    interpolated: float | None = None
    data: str | None = None
    kept: str | None = None
    read_as: str | None = None
    assumed: str | None = None
    left: str | None = None


@dataclass(frozen=True)
class LayerRow:
    """One layer of it.

    Attributes:
        before, after: ‖B − A‖ / ‖A‖ of B as it was, and aligned.
    """

    layer: str
    before: float
    after: float


_ALIGNED: Columns = {
    Column("checkpoint", Kind.name): lambda row: row.path,
    Column("written to", Kind.other): lambda row: row.output,
    Column("before", right=True): lambda row: digits(row.before),
    Column("after", right=True): lambda row: digits(row.after),
    Column("moved", right=True): lambda row: _of(row.moved, row.neurons),
    Column("scaled", right=True): lambda row: _of(row.scaled, row.scales),
    Column("flipped", right=True): lambda row: _of(row.flipped, row.signs),
    Column("rounding", right=True): lambda row: digits(row.rounding) if row.rounding else "0",
    Column("note", Kind.note): lambda row: _note(row),
}
_LAYERS: Columns = {
    Column("layer", Kind.name): lambda row: row.layer,
    Column("before", right=True): lambda row: digits(row.before),
    Column("after", right=True): lambda row: digits(row.after),
}


def aligned_table(rows: Iterable[AlignedRow]) -> Table:
    """One line a network."""
    return rows_table(rows, _ALIGNED)


def layers_table(rows: Iterable[LayerRow]) -> Table:
    """One line a layer."""
    return rows_table(rows, _LAYERS)


def _of(count: int, total: int) -> str:
    return f"{count:,}/{total:,}" if total else "-"


def _note(row: AlignedRow) -> str:
    notes = {"unchanged:": row.left, "still of the old weights:": row.kept}
    if row.interpolated is not None:
        notes["interpolated:"] = f"{1 - row.interpolated:g} A + {row.interpolated:g} B aligned"
    notes["statistics of:"] = row.data
    return "; ".join(f"{name} {what}" for name, what in notes.items() if what)
