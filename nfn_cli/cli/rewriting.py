"""What `nfn canonicalize` and `nfn apply` share: what is said of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfn_cli.cli.destinations import Destination, Plan, RewriteOptions
from nfn_cli.cli.many_files import write_all
from nfn_cli.phrases import files

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource, AnyTransformed

_MOST_READINGS = 5


@dataclass(frozen=True)
class RewrittenRow:
    """One file acted on.

    Attributes:
        rounding: largest error of rounding to the file's dtype, relative to the largest entry of its tensor.
        residual, dead, duplicates, gap, unique, unsure: see `nfn_cli.symmetry.any_form.FormFacts`.
        kept: entries of the file beside the weights, such as an optimizer's state, that still belong to the old ones.
        read_as, assumed: how the network was read, and what was taken for granted in this.
        left: tensors beside the network's layers, which stay as they are.
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


def write_row(
    plan: Plan, each: Destination, source: AnySource, moved: AnyTransformed, *, overwrite: bool
) -> RewrittenRow:
    """Write transformed weights; the row that says how.

    Raises:
        CheckpointError: see `write_moved`.
    """
    from nfn_cli.symmetry.rewriting import write_moved

    kept = write_moved(source, moved, each.target, overwrite=overwrite, with_config=plan.folder is not None)
    return RewrittenRow(
        str(each.source),
        str(each.target),
        rounding=moved.rounding,
        kept=", ".join(kept) or None,
        read_as=source.reading.text,
        assumed=source.reading.assumed,
        left=", ".join(source.reading.left) or None,
    )


def rewrite_files(plan: Plan, work: Callable[[Destination], RewrittenRow], options: RewriteOptions) -> None:
    """Do the work on every file, print a row for each, and leave with the documented exit code."""
    from nfn_cli.cli.tables.rewritten_table import rewritten_table

    def notes(rows: Sequence[RewrittenRow]) -> list[str]:
        return reading_lines((row.read_as, row.assumed) for row in rows)

    write_all(plan, work, RewrittenRow, rewritten_table, options, stage="writing", notes=notes)


def reading_lines(readings: Iterable[tuple[str | None, str | None]]) -> list[str]:
    """Lines for stderr on how networks were read and on what was assumed, each once with a count.

    Args:
        readings: of every network, what it was read as and what was assumed; None where there is nothing to say.
    """
    read = [reading for reading in readings if reading[0] is not None]
    several = len(read) > 1
    as_read = Counter(read_as for read_as, _ in read)
    assumed = Counter(what for _, what in read if what)
    lines = []
    for word, counts in (("read as", as_read), ("assumed:", assumed)):
        for what, count in counts.most_common(_MOST_READINGS):
            lines.append(f"{word} {what}{f' ({files(count)})' if several else ''}")
    left = sum(max(0, len(counts) - _MOST_READINGS) for counts in (as_read, assumed))
    if left:
        lines.append(f"{left} other readings and assumptions; --format json lists them all")
    return lines
