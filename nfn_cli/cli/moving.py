"""What `nfn canonicalize` and `nfn apply` share: where each file goes, and what is said of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.options import Format
from nfn_cli.cli.telling import reading_lines
from nfn_cli.errors import NfnError, UsageError

if TYPE_CHECKING:
    from nfn_cli.architectures import Reading
    from nfn_cli.cli.layout import Cell, Table


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


def planned_outputs(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Every checkpoint among the inputs, with the file to write.

    One file goes to `out` itself, or into it where it is a folder; a folder's checkpoints keep their places in it.

    Raises:
        UsageError: two inputs would go to one file.
        CheckpointError: a folder without a checkpoint.
    """
    from nfn_cli.checkpoints import find_checkpoints

    if len(inputs) == 1 and not os.path.isdir(inputs[0]) and not os.path.isdir(out) and not str(out).endswith(os.sep):
        return [(inputs[0], out)]
    planned: dict[Path, Path] = {}
    for given in inputs:
        for path in find_checkpoints([given]):
            target = out / (path.relative_to(given) if os.path.isdir(given) else path.name)
            if target in planned:
                raise UsageError(target, f"both {planned[target]} and {path} would go there", "give them one by one")
            planned[target] = path
    return [(path, target) for target, path in planned.items()]


def move_files(
    inputs: Sequence[Path], out: Path, work: Callable[[Path, Path], MovedRow], format: Format | None
) -> None:
    """Do the work on every file, print a row for each, and leave with the documented exit code."""
    from tqdm import tqdm

    from nfn_cli.checkpoints import synced_together
    from nfn_cli.cli.output import write_rows

    planned = planned_outputs(inputs, out)
    rows: list[MovedRow] = []
    made: set[Path] = set()
    several = len(planned) > 1
    silent = not several or not sys.stderr.isatty()
    with synced_together() if several else nullcontext():
        for path, target in tqdm(planned, unit="file", file=sys.stderr, disable=silent, leave=False):
            try:
                if target != out and target.parent not in made:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    made.add(target.parent)
                rows.append(work(path, target))
            except NfnError as error:
                rows.append(MovedRow(str(path), str(target), error=str(error)))
    write_rows(rows, MovedRow, _table, format, sys.stdout)
    leave_with(rows, reading_lines((row.read_as, row.assumed) for row in rows))


def _table(rows: Iterable[MovedRow]) -> Table:
    from nfn_cli.cli.layout import Column, Kind, Table

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
    from nfn_cli.cli.layout import Cell

    if row.error is not None:
        return [row.path, Cell("failed", "red"), "", "", ""]
    notes = {"dead": row.dead, "duplicates": row.duplicates, "as it was:": row.left, "of the old weights:": row.kept}
    note = "; ".join(f"{name} {places}" for name, places in notes.items() if places)
    rounding = "0" if not row.rounding else f"{row.rounding:.1e}"
    return [row.path, row.output, rounding, f"{row.residual:.1e}" if row.residual is not None else "", note]
