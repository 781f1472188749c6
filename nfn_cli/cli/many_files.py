"""Go through the files that a command writes: folders, progress, interrupts, and what was written before."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import typer

from nfn_cli.cli.destinations import Destination, Plan, RewriteOptions
from nfn_cli.cli.failures import FileRow, leave_with, print_note
from nfn_cli.cli.interrupts import Stop
from nfn_cli.cli.options import is_of_reading
from nfn_cli.cli.program import INTERRUPTED
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.errors import NfnError
from nfn_cli.folders import make_folder, remove_empty
from nfn_cli.phrases import files
from nfn_cli.threads import numbers_in, threads_for

if TYPE_CHECKING:
    from nfn_cli.cli.output import Layout

Row = TypeVar("Row", bound=FileRow)


def write_all(
    plan: Plan,
    work: Callable[[Destination], Row],
    kind: Callable[..., Row],
    table: Layout,
    options: RewriteOptions,
    *,
    stage: str,
    notes: Callable[[Sequence[Row]], Sequence[str]],
) -> None:
    """Do the work on every file, print a row for each, and leave with the documented exit code.

    Args:
        kind: the dataclass of the rows, with `path`, `output` and `error`. table: lays them out for people.
        stage: what is done to the files, such as `writing`.
        notes: lines for stderr, from the rows.

    Raises:
        DataError: the output folder cannot be made.
        UsageError: an option of reading is wrong.
    """
    from nfn_cli.cli.output import write_rows

    def failed(each: Destination, error: NfnError) -> Row:
        return kind(str(each.source), str(each.target), error=str(error))

    rows, skipped, interrupted = _rows_of(plan, work, failed, options, stage)
    write_rows(rows, kind, table, options.format, sys.stdout)  # type: ignore[arg-type]
    lines = list(notes(rows))
    if skipped:
        lines.insert(0, f"{files(skipped)} {'exists' if skipped == 1 else 'exist'} already, skipped")
    try:
        leave_with(rows, lines, fine=skipped)
    except typer.Exit:
        if not interrupted:
            raise
    if interrupted:
        done = sum(row.error is None for row in rows) + skipped
        # With --overwrite, the files that are there may be old ones.
        remedy = "" if options.overwrite else "; the same command with --skip-existing goes on"
        print_note(f"interrupted; {done:,} of {len(plan.destinations):,} files are done{remedy}")
        raise typer.Exit(INTERRUPTED)


def _rows_of(
    plan: Plan,
    work: Callable[[Destination], Row],
    failed: Callable[[Destination, NfnError], Row],
    options: RewriteOptions,
    stage: str,
) -> tuple[list[Row], int, bool]:
    """The rows of the files that were written or failed; how many were skipped; whether an interrupt left others.

    Of several files, the first Ctrl-C lets the one that is under way be finished. No folder is left without a file in
    it that was made for one.

    Args:
        failed: makes the row of a file that cannot be done.
    """
    from nfn_cli.checkpoints import settle, synced_together

    rows: list[Row] = []
    skipped = 0
    several = len(plan.destinations) > 1
    stop, interrupted = Stop(), False
    made = make_folder(plan.folder) if plan.folder is not None else []
    ready = {plan.folder}
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(Progress(quiet=options.quiet))
            if several:
                stack.enter_context(synced_together())
                stack.enter_context(stop.on_interrupt())
            for each in progress.each(stage, plan.destinations):
                if stop.asked():
                    interrupted = True
                    break
                try:
                    if plan.folder is not None and each.target.parent not in ready:
                        made = [*make_folder(each.target.parent), *made]
                        ready.add(each.target.parent)
                    if options.skip_existing:
                        settle(each.target.parent)  # an index whose shards are there is whole only then
                        if os.path.exists(each.target):
                            skipped += 1
                            continue
                    with threads_for(numbers_in(each.source)):
                        rows.append(work(each))
                except NfnError as error:
                    if is_of_reading(error):
                        raise
                    rows.append(failed(each, error))
    except KeyboardInterrupt:
        if not several:
            raise
        interrupted = True
    finally:
        remove_empty(made)
    return rows, skipped, interrupted
