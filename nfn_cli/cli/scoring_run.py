"""Run a scoring command: inputs through an engine to where its rows go, with progress, and so that it can go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any, Protocol

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.interrupts import Stop
from nfn_cli.cli.program import INTERRUPTED
from nfn_cli.cli.progress.scoring_progress import Progress
from nfn_cli.cli.scoring_options import ScoringOptions, SourceOptions
from nfn_cli.cli.scoring_output import Output, output_of

if TYPE_CHECKING:
    from nfn_cli.cli.output import Layout
    from nfn_cli.scoring import EngineSettings, Scored

_COUNTED = 200_000


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        skipped: inputs that were skipped.
        notes: what was assumed.
        summary: what was done.
    """

    progress: Progress
    skipped: int
    notes: list[str]

    def tell(self, *, quiet: bool, failed_before: int = 0) -> None:
        """Say on stderr what failed, was assumed and done."""
        summary = [] if quiet else self.progress.summary(self.skipped, failed_before)
        for line in (*self.progress.failures(), *self.notes, *summary):
            tell(line)

    def exit_code(self, failed_before: int = 0) -> int:
        """0 all done, 1 some failed, 3 all did."""
        if not self.progress.failed + failed_before:
            return 0
        return 1 if self.progress.scored or self.skipped > failed_before else 3


class Beside(Protocol):
    """What is shown besides the rows."""

    def take(self, rows: Sequence[Scored[Any]]) -> None:
        """Rows, as they are made."""

    def show(self) -> None:
        """Show it, when all rows are there."""


def run_scoring(task: Any, kind: type, table: Layout, call: ScoringOptions, beside: Beside | None = None) -> None:
    """Score everything that was named, and leave with the documented exit code.

    Args:
        task: see `nfn_cli.nn.tasks`.
        kind: the dataclass of its rows.
        table: lays them out for people.
        beside: shown as well.
    """
    output = output_of(call, kind, table)
    with output.held():
        ended, stopped = _run(task, call, output, beside)
        ended.tell(quiet=call.quiet, failed_before=output.failed)
        if stopped:
            tell(f"interrupted; {output.remedy}")
            raise typer.Exit(INTERRUPTED)
        if code := ended.exit_code(output.failed):
            raise typer.Exit(code)


def _run(task: Any, call: ScoringOptions, output: Output, beside: Beside | None) -> tuple[Ended, bool]:
    """Score everything; how it ended, and whether the user has asked to stop."""
    from nfn_cli.scoring.made_with import made_with

    def take(rows: Sequence[Scored[Any]]) -> None:
        output.write(rows)
        if beside is not None:
            beside.take(rows)

    stop = Stop()
    try:
        with stop.on_interrupt():
            named = listed(call, stop)
            settings = call.settings(ordered=call.ordered, hashed=call.hash)
            output.begin(lambda: made_with(task, settings))
            try:
                settings = settings.changed(done=output.done, hashed=call.hash or output.hashed)
                ended = put_through(task, call, settings, named, take, stop)
            finally:
                output.close()
            output.finish()
            if beside is not None:
                beside.show()
    except KeyboardInterrupt:
        tell(f"interrupted; {output.remedy}")
        raise typer.Exit(INTERRUPTED) from None
    return ended, stop.asked()


@dataclass(frozen=True)
class Listed:
    """The files that were named.

    Attributes:
        known: how many they are, None of very many.
        cut: of packed files, how many networks count, where there is a limit.
    """

    known: int | None
    paths: Iterator[str]
    cut: Mapping[str, int]


def listed(call: SourceOptions, stop: Stop) -> Listed:
    """What the user has named."""
    from nfn_cli.scoring import found

    cut: dict[str, int] = {}
    paths = takewhile(lambda path: not stop.asked(), found(call.inputs(), cut))
    first = list(islice(paths, _COUNTED if call.limit is None else None))
    rest = next(paths, None)
    if rest is None:
        return Listed(len(first), iter(first), cut)
    return Listed(None, chain(first, [rest], paths), cut)


def put_through(
    task: Any,
    call: SourceOptions,
    settings: EngineSettings,
    named: Listed,
    take: Callable[[Sequence[Scored[Any]]], None],
    stop: Stop,
) -> Ended:
    """Put files through an engine.

    Args:
        take: gets the rows, some at a time.
    """
    from nfn_cli.scoring import Tally, assumption_notes, run_engine

    tally = Tally()
    parts = run_engine(
        task,
        named.paths,
        settings.changed(stop=stop.asked, cut=named.cut),
        tally,
        engine=call.engine.value,
        device=call.device.value,
    )
    progress = Progress(named.known, quiet=call.quiet)
    try:
        with closing(parts):
            for rows in parts:
                with progress.aside():
                    take(rows)
                progress.advance(rows, tally.skipped)
    finally:
        progress.close()
    sys.stdout.flush()
    return Ended(progress, tally.skipped, assumption_notes(tally))
