"""Options that several commands share: each list once, as a dataclass that `takes` expands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nfn_cli.cli.takes import Hidden, argument, option
from nfn_cli.errors import ArchitectureError, NfnError, UsageError
from nfn_cli.nn.names import EDITS, kinds_of
from nfn_cli.row_formats import Format as Format
from nfn_cli.shipped import CLASSIFY, EDIT, PREDICT, shipped_heads, task_of_shipped

if TYPE_CHECKING:
    from nfn_cli.architectures import Stated
    from nfn_cli.architectures.traced import NetworkTracer

# Headings of the help.
INPUT = "Input"
READING = "How networks are read"
HEAD = "Head"
OUTPUT = "Output"
SPEED = "Speed"
FIT = "Fit"
MEASURE = "Measurement"


class Device(str, Enum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Pool(str, Enum):
    """Pooling after activations."""

    max = "max"
    avg = "avg"
    none = "none"


class Choice(str, Enum):
    """Names of a registry, among which a command's option chooses."""


def choice_of(names: Iterable[str]) -> Any:
    """A `Choice` of these names."""
    return Choice("Choice", {name.replace("-", "_"): name for name in names})  # type: ignore[call-overload]


if TYPE_CHECKING:

    class AccuracyKind(Choice):
        """Kinds of heads that predict accuracies."""

    class ClassKind(Choice):
        """Kinds of heads that classify INRs."""

    class EditKind(Choice):
        """Kinds of heads that edit INRs."""

    class Edit(Choice):
        """What is done to a picture."""
else:
    AccuracyKind = choice_of(["auto", *kinds_of(PREDICT)])
    ClassKind, EditKind = (choice_of(kinds_of(task)) for task in (CLASSIFY, EDIT))
    Edit = choice_of(sorted(EDITS))


def kind_option(task: str, more: str = "") -> Any:
    """The option `--kind`, whose help says what each kind of head for a task does."""
    return option(FIT, "; ".join(f"{name}: {kind.help}" for name, kind in kinds_of(task).items()) + more + ".")


def heads_of(*tasks: str) -> Callable[[str], list[str]]:
    """Completes the names of shipped heads, of all tasks or of these, for the shell."""

    def complete(incomplete: str) -> list[str]:
        names = [name for name in shipped_heads() if name.startswith(incomplete)]
        return [name for name in names if not tasks or task_of_shipped(name) in tasks]

    return complete


def head_option(*tasks: str, help: str) -> Any:
    """The option `--head`, which completes the heads of these tasks."""
    return option(HEAD, f"A shipped head's name or a head's folder. [default: {help}]", autocompletion=heads_of(*tasks))


def head_argument(*tasks: str) -> Any:
    """The argument HEAD, which completes the heads of these tasks."""
    return argument(
        "HEAD", "A shipped head's name (see nfn heads) or a head's folder.", autocompletion=heads_of(*tasks)
    )


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Keep a command from replacing a file or folder, before its long work.

    Raises:
        UsageError: the path exists, and the user has not passed --overwrite.
    """
    if os.path.exists(path) and not overwrite:
        raise UsageError(path, "exists already", "pass --overwrite to replace it")


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, before any work.

    Raises:
        UsageError: it exists (without `overwrite`).
        CheckpointError: it cannot be written.
    """
    from nfn_cli.checkpoints import require_writable

    refuse_existing(path, overwrite=overwrite)
    require_writable(path, overwrite=overwrite)


def require_png(option: str, path: Path) -> None:
    """Refuse a name that is no PNG file's.

    Raises:
        UsageError: it ends in something else.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(option, f"{path} is no PNG file", "give a name that ends in .png")


def checked_scale_range(scale_range: tuple[float, float]) -> tuple[float, float]:
    """The range itself.

    Raises:
        UsageError: it is none.
    """
    low, high = scale_range
    if not 0 < low <= high < float("inf"):
        raise UsageError("--scale-range", f"{low:g} to {high:g} is no range", "give 0 < LOW <= HIGH")
    return scale_range


ActivationOption = Annotated[
    str | None, option(READING, "Activation of the networks (relu, tanh, sin, ...); overrides what their files say.")
]
DeviceOption = Annotated[Device, option(SPEED, "Where to compute; auto uses a GPU if there is one.")]
FormatOption = Annotated[Format | None, option(OUTPUT, "A table on a terminal, else plain lines.")]
ReportFormatOption = Annotated[Format, option(OUTPUT, "How the report is written.")]
OverwriteOption = Annotated[bool, option(OUTPUT, "Replace existing files.", "--overwrite")]
OverwriteHeadOption = Annotated[bool, option(OUTPUT, "Replace an existing head.", "--overwrite")]
QuietOption = Annotated[bool, option("Other", "No progress and no summary on stderr.", "--quiet", "-q")]
HeadOutputOption = Annotated[Path, option(OUTPUT, "Folder of the head to write.", "--output", "-o"), Hidden("--out")]
ZooOutputOption = Annotated[
    Path, option(OUTPUT, "Folder of the zoo; an unfinished one is continued.", "--output", "-o"), Hidden("--out")
]
OodOption = Annotated[
    list[str] | None,
    option(
        MEASURE,
        "Out-of-distribution networks, to measure how many of them the head flags; repeatable.",
        "--ood",
        metavar="NAME=DIR",
    ),
    Hidden("--outsiders"),
]
WorkersOption = Annotated[
    int | None,
    option(SPEED, "Processes that read networks of many architectures, and fit to them. [default: one a core]", min=1),
]
PredictHead = Annotated[str, head_argument(PREDICT)]
InrHead = Annotated[str, head_argument(CLASSIFY, EDIT)]
Checkpoints = Annotated[list[Path], argument("PATH", "Checkpoints, or folders of them.")]
LargestSeed = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class ModuleOptions:
    """The user's own module, by which networks are read."""

    model: Annotated[
        str | None,
        option(
            READING,
            "Your own module, made by a function in a file, or in a module of the current directory (MODULE:FACTORY)."
            " This runs your code.",
            metavar="FILE.py:FACTORY",
        ),
    ] = None
    input_shape: Annotated[
        str | None, option(READING, "Shape of one input, such as 3x32x32. [default: one that fits]", metavar="NxN...")
    ] = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one input, from `3x32x32` or `3,32,32`.

        Raises:
            UsageError: there are no sizes.
        """
        if self.input_shape is None:
            return None
        try:
            sizes = tuple(int(size) for size in self.input_shape.replace("x", ",").split(","))
        except ValueError:
            sizes = (0,)
        if min(sizes) < 1:
            raise UsageError("--input-shape", f"{self.input_shape!r} is no shape", "write one such as 3,32,32")
        return sizes


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(ModuleOptions):
    """What the user states about networks, and how they are read."""

    activation: ActivationOption = None
    pool: Annotated[Pool | None, option(READING, "Pooling after activations; overrides what the files say.")] = None
    omega_0: Annotated[
        str | None,
        option(
            READING,
            "Frequency of sines: one number, or one per layer but the last; overrides what the files say.",
            "--omega-0",
            metavar="W[,W...]",
        ),
    ] = None
    chain: Annotated[
        bool, option(READING, "The layers are one plain chain: no skips, branches or other networks.", "--chain")
    ] = False
    prefix: Annotated[
        str | None, option(READING, "Read one network of several: how its tensors' names begin, such as `actor.`.")
    ] = None
    entry: Annotated[
        str | None, option(READING, "Read one network of several: its entry in a PyTorch file, such as `actor`.")
    ] = None
    strict: Annotated[
        bool, option(READING, "Refuse a network that is only recognised by names and shapes.", "--strict")
    ] = False

    def stated(self) -> Stated:
        """What is stated about every network.

        Raises:
            UsageError: an unknown activation, or frequencies that are no positive numbers.
        """
        from nfn_cli.architectures import Stated, canonical_activation, parsed_frequencies

        if self.activation is not None:
            try:
                canonical_activation(self.activation, "--activation")  # wrong for one file is wrong for all
            except ArchitectureError as error:
                raise UsageError(error.subject, error.cause, error.remedy) from error
        frequencies = parsed_frequencies(self.omega_0) if self.omega_0 is not None else ()
        pool = self.pool.value if self.pool else None
        return Stated(self.activation, pool, frequencies, self.chain, self.prefix, self.entry, self.strict)

    def tracer(self, *, gauges: bool = False) -> NetworkTracer:
        """Reads networks that are no chain."""
        from nfn_cli.architectures.traced import NetworkTracer

        return NetworkTracer(self.model, self.shape, gauges=gauges)


def is_of_reading(error: NfnError) -> bool:
    """Whether an error is about an option of `ReadingOptions`, and so the same for every file."""
    names = (f"--{field.name.replace('_', '-')}" for field in fields(ReadingOptions))
    return isinstance(error, UsageError) and error.subject in names
