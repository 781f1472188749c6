"""`nfn rank`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, Format, QuietOption
from nfn_cli.cli.scoring_options import (
    BatchSizeOption,
    Dtype,
    DtypeOption,
    Engine,
    EngineOption,
    ExcludeOption,
    FromFileOption,
    HeadOption,
    IncludeOption,
    JobsOption,
    LimitOption,
    PathsArgument,
    ScoringCall,
    parsed_batch_size,
)
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


def rank(
    paths: PathsArgument = None,
    top: Annotated[int | None, typer.Option(min=1, help="The best so many.", show_default=False)] = None,
    in_distribution: Annotated[
        bool, typer.Option("--in-population", help="Leave out networks unlike those the head was trained on.")
    ] = False,
    head: HeadOption = None,
    device: DeviceOption = Device.auto,
    activation: ActivationOption = None,
    format: Annotated[
        RankFormat | None,
        typer.Option(
            help="A table on a terminal, else plain lines; path: names alone; path0: names ended by NUL, for xargs -0.",
            show_default=False,
        ),
    ] = None,
    from_file: FromFileOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = None,
    batch_size: BatchSizeOption = "auto",
    dtype: DtypeOption = Dtype.float32,
    engine: EngineOption = Engine.local,
    quiet: QuietOption = False,
) -> None:
    """Sort trained networks by how well they generalise, as predicted from their weights alone; the best first.

    Networks of equal accuracy are sorted by the low end of their interval, then by name. Files that cannot be scored
    are told on stderr and left out.
    """
    from nfn_cli.cli.interrupts import Stop, told_interrupt
    from nfn_cli.cli.scoring_run import listed, put_through, settings_of
    from nfn_cli.scoring import AccuracyTask, Ranking

    call = ScoringCall(
        paths=paths or [],
        from_file=from_file,
        include=include or [],
        exclude=exclude or [],
        limit=limit,
        head=head,
        activation=activation,
        device=device.value,
        dtype=dtype.value,
        batch_size=parsed_batch_size(batch_size),
        jobs=jobs,
        ordered=False,
        engine=engine.value,
        format=None,
        output=None,
        overwrite=False,
        resume=False,
        hashed=False,
        quiet=quiet,
    )
    ranking = Ranking(top, in_distribution=in_distribution)

    def take(rows: Sequence[Scored[Any]]) -> None:
        ranking.add(scored.row for scored in rows)

    stop = Stop()  # nobody asks it: the best of a part would not be the best, so Ctrl-C ends at once
    with told_interrupt(lambda: "nothing was ranked"):
        ended = put_through(AccuracyTask(), call, settings_of(call), *listed(call, stop), take, stop)
    _write(ranking.rows(), format)
    ended.tell(quiet=quiet)
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
