"""`nfn rank`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from nfn_cli.cli.failures import print_note
from nfn_cli.cli.options import OUTPUT, Format
from nfn_cli.cli.scoring_options import ModuleSourceOptions
from nfn_cli.cli.takes import Hidden, option, takes
from nfn_cli.phrases import escaped, files

if TYPE_CHECKING:
    from nfn_cli.scoring import RankRow, Scored


# Names alone, beside the formats of rows.
_NAMES = ("path", "path0")

if TYPE_CHECKING:
    RankFormat: TypeAlias = Enum
else:
    RankFormat = Enum("RankFormat", {name: name for name in (*(own.value for own in Format), *_NAMES)}, type=str)
    RankFormat.__doc__ = "How the ranking is written."


@takes
def rank(
    options: ModuleSourceOptions,
    top: Annotated[int | None, option(OUTPUT, "Show only the best N.", min=1)] = None,
    in_distribution: Annotated[
        bool,
        option(OUTPUT, "Leave out networks unlike those the head was trained on.", "--in-distribution"),
        Hidden("--in-population"),
    ] = False,
    unique: Annotated[
        bool,
        option(
            OUTPUT,
            "Keep the first network of each orbit; leave out its copies, however disguised.",
            "--unique",
        ),
    ] = False,
    format: Annotated[
        RankFormat | None,
        option(
            OUTPUT,
            "A table on a terminal, else plain lines; path: names alone; path0: names ended by NUL, for xargs -0.",
        ),
    ] = None,
) -> None:
    """Sort networks by predicted accuracy, the best first.

    Networks of equal accuracy are sorted by the low end of their interval, then by name. Files that cannot be scored
    are named on stderr and left out.

    Examples:
        nfn rank runs/ --top 10
        nfn rank runs/ --top 10 --format path0 | xargs -0 cp -t best
    """
    from nfn_cli.cli.interrupts import Stop, interrupt_message
    from nfn_cli.cli.scoring_run import listed, put_through
    from nfn_cli.scoring import AccuracyTask, Ranking

    # Which copies are left out is known when all are ranked.
    ranking = Ranking(None if unique else top, in_distribution=in_distribution)

    def take(rows: Sequence[Scored[Any]]) -> None:
        ranking.add(scored.row for scored in rows)

    stop = Stop()  # never asked: the best of a part would not be the best, so Ctrl-C ends at once
    with interrupt_message(lambda: "nothing was ranked"):
        ended = put_through(AccuracyTask(), options, options.settings(), listed(options, stop), take, stop)
        rows = ranking.rows()
        notes: list[str] = []
        if unique:
            rows, notes = _without_copies(rows, options, top)
    _write(rows, format)
    ended.report()
    for note in notes:
        print_note(note)
    if code := ended.exit_code():
        raise typer.Exit(code)


def _without_copies(
    rows: Sequence[RankRow], options: ModuleSourceOptions, top: int | None
) -> tuple[list[RankRow], list[str]]:
    """The first network of each orbit, and lines about the others."""
    from nfn_cli.architectures import Stated
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.cli.progress.bars import Progress
    from nfn_cli.scoring.unique import one_of_each_orbit
    from nfn_cli.symmetry.named_networks import read_named

    stated, tracer = Stated(activation=options.activation), NetworkTracer(options.model, options.shape)
    with Progress(quiet=options.quiet) as progress:
        progress.stage("leaving out copies", len(rows) if top is None else None, "networks")
        found = one_of_each_orbit(rows, top, lambda name: read_named(name, stated, tracer), progress.advance)
    notes = [f"{found.left_out:,} left out: {'it is a copy' if found.left_out == 1 else 'they are copies'} of others"]
    if found.unsure:
        first, cause = found.unsure[0]
        notes.append(
            f"{files(len(found.unsure))} may be copies and stay: not read to compare; first: {first} ({cause})"
        )
    return list(found.rows), notes


def _write(rows: Sequence[Any], format: RankFormat | None) -> None:
    from nfn_cli.cli.output import render_rows, write_rows
    from nfn_cli.cli.scoring_output import print_all
    from nfn_cli.cli.tables.ranking_table import ranking_table
    from nfn_cli.scoring import RankRow

    name = format and format.value
    if name in _NAMES:
        end = b"\0" if name == "path0" else b"\n"
        if name == "path" and sys.stdout.isatty():
            print_all("".join(f"{escaped(row.path)}\n" for row in rows))
        else:
            print_all(b"".join(os.fsencode(row.path) + end for row in rows))
        return
    if name == "table" or (name is None and sys.stdout.isatty()):
        write_rows(rows, RankRow, ranking_table, Format.table, sys.stdout)
        return
    print_all(render_rows(rows, RankRow, ranking_table, Format(name) if name else None))
