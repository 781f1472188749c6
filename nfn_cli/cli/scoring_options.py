"""Options of the commands that put many checkpoints through a head."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.options import complete_head
from nfn_cli.row_formats import FORMAT_HELP
from nfn_cli.row_formats import ScoreFormat as ScoreFormat


class Dtype(str, Enum):
    """Arithmetic of a head."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Engine(str, Enum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


@dataclass(frozen=True)
class ScoringCall:
    """What the user asked for, see the options below."""

    paths: list[str]
    from_file: Path | None
    include: list[str]
    exclude: list[str]
    limit: int | None
    head: str | None
    activation: str | None
    device: str
    dtype: str
    batch_size: int | None
    jobs: int | None
    ordered: bool
    engine: str
    format: ScoreFormat | None
    output: Path | None
    overwrite: bool
    resume: bool
    hashed: bool
    quiet: bool


PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="Checkpoints, folders of them, globs, addresses such as s3://bucket/zoo, or - for a list on stdin.",
        show_default=False,
    ),
]
FromFileOption = Annotated[
    Path | None, typer.Option(help="A list of paths, a line each or ended by NUL.", show_default=False)
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="In folders, only what matches; repeat.", show_default=False),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="In folders, nothing that matches; repeat.", show_default=False),
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="The first so many files.", show_default=False)]
HeadOption = Annotated[
    str | None,
    typer.Option(
        help="A shipped head's name or a head's folder; otherwise the shipped one that fits.",
        autocompletion=complete_head,
    ),
]
DtypeOption = Annotated[Dtype, typer.Option(help="Arithmetic of the head.")]
BatchSizeOption = Annotated[
    str, typer.Option(metavar="N|auto", help="Networks that go through the head at once, at most.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(min=0, help="Processes; 0 works in this one. [default: by the number of files]", show_default=False),
]
OrderedOption = Annotated[
    bool, typer.Option("--ordered/--unordered", help="Rows in the order of the inputs, or as they are finished.")
]
EngineOption = Annotated[Engine, typer.Option(help="ray spreads the work over a Ray cluster.")]
ScoreFormatOption = Annotated[
    ScoreFormat | None,
    typer.Option(
        help=FORMAT_HELP,
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to this file instead of stdout, which is -.", show_default=False),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue the output file: unchanged inputs are passed over. Refused where its rows were made with "
        "another head, or with other options that change rows.",
    ),
]
HashOption = Annotated[
    bool,
    typer.Option(
        "--hash",
        help="Tell changed inputs by their contents, not by size and time; with --resume, rows without a hash are made "
        "again.",
    ),
]


def parsed_batch_size(value: str) -> int | None:
    """A number of networks, None for `auto`.

    Raises:
        UsageError: neither.
    """
    from nfn_cli.errors import UsageError

    if value == "auto":
        return None
    if value.isascii() and value.isdigit() and 1 <= int(value[:8]) <= 1 << 20 and len(value) <= 8:
        return int(value)
    raise UsageError("--batch-size", f"{value} is no number of networks", "give 1 to 1048576, or auto")
