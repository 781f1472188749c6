"""What `nfn canonicalize` and `nfn apply` share: what is said of each file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfn_cli.cli.destinations import Destination, Plan
from nfn_cli.cli.many_files import leave_after, write_each
from nfn_cli.cli.options import Format
from nfn_cli.cli.telling import reading_lines
from nfn_cli.errors import NfnError

if TYPE_CHECKING:
    from rich.table import Table

    from nfn_cli.architectures import Reading


@dataclass(frozen=True)
class MovedRow:
    """One file acted on.

    Attributes:
        rounding: largest error of rounding to the file's dtype, relative to the largest entry of its tensor.
        residual: of a balanced scale, the largest |incoming norm / outgoing norm − 1| of a neuron.
        dead, duplicates: neurons that nothing feeds or nothing reads, and those that read the same as another, as
            `layer:place` in the new file.
        read_as, assumed: how the network was read, and what was taken for granted in this.
        left: tensors beside the network's layers, which stay as they are.
        kept: entries of the file beside the weights, such as an optimizer's state, that still belong to the old ones.
    """

    path: str
    output: str
    rounding: float | None = None
    residual: float | None = None
    dead: str | None = None
    duplicates: str | None = None
    kept: str | None = None
    read_as: str | None = None
    assumed: str | None = None
    left: str | None = None
    error: str | None = None


def with_reading(row: MovedRow, reading: Reading) -> MovedRow:
    """The row with what tells how its network was read."""
    return replace(row, read_as=reading.text, assumed=reading.assumed, left=", ".join(reading.left) or None)


def move_files(
    plan: Plan,
    work: Callable[[Destination], MovedRow],
    format: Format | None,
    *,
    overwrite: bool,
    skip_existing: bool,
    quiet: bool,
) -> None:
    """Do the work on every file, print a row for each, and leave with the documented exit code."""
    from nfn_cli.cli.output import write_rows

    def failed(each: Destination, error: NfnError) -> MovedRow:
        return MovedRow(str(each.source), str(each.target), error=str(error))

    outcome = write_each(plan, work, failed, stage="writing", skip_existing=skip_existing, quiet=quiet)
    rows = outcome.rows
    write_rows(rows, MovedRow, _table, format, sys.stdout)
    readings = reading_lines((row.read_as, row.assumed) for row in rows)
    leave_after(outcome, [row.error for row in rows], readings, overwrite=overwrite)


def _table(rows: Iterable[MovedRow]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    rows = list(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("checkpoint", "written to"):
        table.add_column(name, overflow="fold")
    table.add_column("rounding", no_wrap=True)
    balanced = any(row.residual is not None for row in rows)
    if balanced:
        table.add_column("residual", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        notes = {
            "dead": row.dead,
            "duplicates": row.duplicates,
            "as it was:": row.left,
            "of the old weights:": row.kept,
        }
        note = escape("; ".join(f"{name} {places}" for name, places in notes.items() if places))
        output, rounding = escape(row.output), "0" if not row.rounding else f"{row.rounding:.1e}"
        if row.error is not None:
            output, rounding = "[red]-[/]", ""
            note = f"[red]{escape(row.error.removeprefix(f'{row.path}: '))}[/]"
        residual = [f"{row.residual:.1e}" if row.residual is not None else ""] if balanced else []
        table.add_row(escape(row.path), output, rounding, *residual, note)
    return table
