"""`nfn rank`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from nfn_cli.cli.options import OUTPUT, Format
from nfn_cli.cli.scoring_options import ModuleSourceOptions
from nfn_cli.cli.takes import Hidden, option, takes
from nfn_cli.phrases import escaped

if TYPE_CHECKING:
    from nfn_cli.scoring import Scored


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

    ranking = Ranking(top, in_distribution=in_distribution)

    def take(rows: Sequence[Scored[Any]]) -> None:
        ranking.add(scored.row for scored in rows)

    stop = Stop()  # never asked: the best of a part would not be the best, so Ctrl-C ends at once
    with interrupt_message(lambda: "nothing was ranked"):
        ended = put_through(AccuracyTask(), options, options.settings(), listed(options, stop), take, stop)
    _write(ranking.rows(), format)
    ended.report()
    if code := ended.exit_code():
        raise typer.Exit(code)


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
