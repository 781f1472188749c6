"""Go through the files that a command writes: folders, progress, interrupts, and what was written before."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import typer

from nfn_cli.cli.destinations import Destination, Plan, RewriteOptions
from nfn_cli.cli.failures import FileRow, leave_with, tell
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

Row = TypeVar("Row")
AnyRow = TypeVar("AnyRow", bound=FileRow)


@dataclass(frozen=True)
class Outcome(Generic[Row]):
    """What was done.

    Attributes:
        rows: of the files that were written, or failed.
        skipped: files that were there already.
        left: files that an interrupt has left to do; None without one.
    """

    rows: list[Row]
    skipped: int
    left: int | None


def write_each(
    plan: Plan,
    work: Callable[[Destination], Row],
    failed: Callable[[Destination, NfnError], Row],
    *,
    stage: str,
    skip_existing: bool = False,
    quiet: bool = False,
) -> Outcome[Row]:
    """Do the work on every file, and show how far it is.

    Of several files, the first Ctrl-C lets the one that is under way be finished. No folder is left without a file in
    it that was made for one.

    Args:
        failed: makes the row of a file that cannot be done.
        stage: what is done to the files, such as `writing`.
        quiet: show nothing.

    Raises:
        DataError: the output folder cannot be made.
        UsageError: an option of reading is wrong.
    """
    from nfn_cli.checkpoints import settle, synced_together

    rows: list[Row] = []
    skipped, begun = 0, 0
    several = len(plan.destinations) > 1
    stop, interrupted = Stop(), False
    made = make_folder(plan.folder) if plan.folder is not None else []
    ready = {plan.folder}
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(Progress(quiet=quiet))
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
                    if skip_existing:
                        settle(each.target.parent)  # an index whose shards are there is whole only then
                        if os.path.exists(each.target):
                            skipped, begun = skipped + 1, begun + 1
                            continue
                    with threads_for(numbers_in(each.source)):
                        rows.append(work(each))
                except NfnError as error:
                    if is_of_reading(error):
                        raise
                    rows.append(failed(each, error))
                begun += 1
    except KeyboardInterrupt:
        if not several:
            raise
        interrupted = True
    finally:
        remove_empty(made)
    return Outcome(rows, skipped, len(plan.destinations) - begun if interrupted else None)


def write_all(
    plan: Plan,
    work: Callable[[Destination], AnyRow],
    kind: Callable[..., AnyRow],
    table: Layout,
    options: RewriteOptions,
    *,
    stage: str,
    notes: Callable[[Sequence[AnyRow]], Sequence[str]],
) -> None:
    """Do the work on every file, print a row for each, and leave with the documented exit code.

    Args:
        kind: the dataclass of the rows, with `path`, `output` and `error`. table: lays them out for people.
        stage: what is done to the files, such as `writing`.
        notes: lines for stderr, from the rows.
    """
    from nfn_cli.cli.output import write_rows

    def failed(each: Destination, error: NfnError) -> AnyRow:
        return kind(str(each.source), str(each.target), error=str(error))

    skip = options.skip_existing
    outcome = write_each(plan, work, failed, stage=stage, skip_existing=skip, quiet=options.quiet)
    write_rows(outcome.rows, kind, table, options.format, sys.stdout)  # type: ignore[arg-type]
    leave_after(outcome, notes(outcome.rows), overwrite=options.overwrite)


def leave_after(outcome: Outcome[AnyRow], notes: Sequence[str] = (), *, overwrite: bool = False) -> None:
    """Say notes and errors on stderr, and what was skipped or left; leave with the documented exit code.

    Args:
        overwrite: the files that are there may be old ones.
    """
    if outcome.skipped:
        exist = "exists" if outcome.skipped == 1 else "exist"
        notes = [f"{files(outcome.skipped)} {exist} already, skipped", *notes]
    try:
        leave_with(outcome.rows, notes, fine=outcome.skipped)
    except typer.Exit:
        if outcome.left is None:
            raise
    if outcome.left is not None:
        done = sum(row.error is None for row in outcome.rows) + outcome.skipped
        total = len(outcome.rows) + outcome.skipped + outcome.left
        remedy = "" if overwrite else "; the same command with --skip-existing goes on"
        tell(f"interrupted; {done:,} of {total:,} files are done{remedy}")
        raise typer.Exit(INTERRUPTED)
