"""What `nfn canonicalize` and `nfn apply` share: what is said of each file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.cli.destinations import Destination, Plan
from nfn_cli.cli.many_files import leave_after, write_each
from nfn_cli.cli.options import Format
from nfn_cli.cli.telling import reading_lines
from nfn_cli.errors import NfnError

if TYPE_CHECKING:
    from nfn_cli.architectures import Reading
    from nfn_cli.cli.tables.layout import Cell, Table
    from nfn_cli.symmetry.sources import AnySource


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
        gap: of a traced network's normal form, the smallest relative difference that decided its order or a sign.
        unique: whether that is more than rounding, so that the whole orbit has this form.
        unsure: where it is not: how many neurons of a layer have a neighbour that only rounding tells from them.
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
    gap: float | None = None
    unique: bool | None = None
    unsure: str | None = None
    error: str | None = None


def with_reading(row: MovedRow, reading: Reading) -> MovedRow:
    """The row with what tells how its network was read."""
    return replace(row, read_as=reading.text, assumed=reading.assumed, left=", ".join(reading.left) or None)


def check_config(source: AnySource, target: Path) -> None:
    """Refuse to put a network beside a configuration that is another's, before anything is written.

    Raises:
        CheckpointError: one is there.
    """
    from nfn_cli.errors import CheckpointError

    configs = _configs(source, target)
    if configs is not None and os.path.lexists(configs[1]) and not _same(*configs):
        cause = f"beside it would stand another configuration than that of {source.checkpoint.path}"
        raise CheckpointError(target, cause, "choose another folder")


def keep_config(source: AnySource, target: Path) -> None:
    """Put a copy of the configuration by which a network was read beside what is made of it, if none is there.

    Raises:
        CheckpointError: it cannot be written.
    """
    from nfn_cli.checkpoints import write_text_atomically

    configs = _configs(source, target)
    if configs is not None and not os.path.lexists(configs[1]):
        write_text_atomically(configs[1], configs[0].read_text(encoding="utf-8"))


def _configs(source: AnySource, target: Path) -> tuple[Path, Path] | None:
    """The configuration by which a network was read, and its place beside the target; None where none was used."""
    from nfn_cli.architectures.config_file import CONFIG_NAME
    from nfn_cli.symmetry import Source

    if isinstance(source, Source) or source.network.how != "config":
        return None
    own = source.checkpoint.path.parent / CONFIG_NAME
    return (own, target.parent / CONFIG_NAME) if own.is_file() else None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


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
    leave_after(outcome, readings, overwrite=overwrite)


def _table(rows: Iterable[MovedRow]) -> Table:
    from nfn_cli.cli.tables.layout import Column, Kind, Table

    rows = list(rows)
    columns = [
        Column("checkpoint", Kind.name),
        Column("written to", Kind.other),
        Column("rounding", right=True),
        Column("residual", right=True),
        Column("note", Kind.note),
    ]
    cells = [_cells(row) for row in rows]
    if all(row.residual is None for row in rows):
        del columns[3]
        for own in cells:
            del own[3]
    return Table(columns, cells)


def _cells(row: MovedRow) -> list[Cell | str]:
    from nfn_cli.cli.tables.layout import Cell

    if row.error is not None:
        return [row.path, Cell("failed", "red"), "", "", ""]
    notes = {"dead": row.dead, "duplicates": row.duplicates, "as it was:": row.left, "of the old weights:": row.kept}
    if row.unique is not None:
        notes["not unique:"] = row.unsure if not row.unique else None
        notes["smallest gap"] = f"{row.gap:.1e}" if row.gap is not None else None
    note = "; ".join(f"{name} {places}" for name, places in notes.items() if places)
    rounding = "0" if not row.rounding else f"{row.rounding:.1e}"
    return [row.path, row.output, rounding, f"{row.residual:.1e}" if row.residual is not None else "", note]
