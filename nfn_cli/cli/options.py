"""Options that several commands share."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.errors import UsageError
from nfn_cli.row_formats import Format as Format
from nfn_cli.shipped import shipped_heads


class Device(str, Enum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class ReportFormat(str, Enum):
    """How the report is written."""

    table = "table"
    json = "json"


class Pool(str, Enum):
    """Pooling behind activations."""

    max = "max"
    avg = "avg"
    none = "none"


def complete_head(incomplete: str) -> list[str]:
    """Names of shipped heads, for the shell's completion."""
    return [name for name in shipped_heads() if name.startswith(incomplete)]


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Keep a command from replacing what is there, before its long work.

    Raises:
        UsageError: the path exists, and the user has not passed --overwrite.
    """
    if os.path.exists(path) and not overwrite:
        raise UsageError(path, "exists already", "pass --overwrite to replace it")


def checked_scale_range(scale_range: tuple[float, float]) -> tuple[float, float]:
    """The range itself.

    Raises:
        UsageError: it is none.
    """
    low, high = scale_range
    if not 0 < low <= high < float("inf"):
        raise UsageError("--scale-range", f"{low:g} to {high:g} is no range", "give 0 < LOW <= HIGH")
    return scale_range


HeadArgument = Annotated[
    str,
    typer.Argument(
        metavar="HEAD",
        help="A shipped head's name or a head's folder.",
        autocompletion=complete_head,
        show_default=False,
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="Where to compute; auto takes a GPU where there is one.")]
ActivationOption = Annotated[
    str | None,
    typer.Option(help="Activation of the networks, over what their files say: relu, tanh, sin, ..."),
]
PoolOption = Annotated[
    Pool | None,
    typer.Option(help="Pooling behind activations, over what the files say.", show_default=False),
]
FormatOption = Annotated[
    Format | None, typer.Option(help="A table on a terminal, else plain lines.", show_default=False)
]
OmegaOption = Annotated[
    str | None,
    typer.Option(
        "--omega-0",
        metavar="W[,W...]",
        help="Frequency of sines, over what the files say: one, or one a layer but the last.",
        show_default=False,
    ),
]
ChainOption = Annotated[
    bool, typer.Option("--chain", help="The layers are one plain chain: no skips, branches or other networks.")
]
PrefixOption = Annotated[
    str | None,
    typer.Option(help="One network of several: its tensors' names begin so, such as `actor.`.", show_default=False),
]
EntryOption = Annotated[
    str | None,
    typer.Option(help="One network of several: its entry in a PyTorch file, such as `actor`.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE.py:FACTORY",
        help="Your own module, made by a function in a file, or in a module of the current directory "
        "(MODULE:FACTORY). This runs your code.",
        show_default=False,
    ),
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="N[,N...]",
        help="Shape of one input, such as 3,32,32. [default: one that fits]",
        show_default=False,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse a network that is only recognised by names and shapes.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary on stderr.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
