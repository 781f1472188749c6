"""Options of the commands that put many checkpoints through a head."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.options import (
    INPUT,
    OUTPUT,
    SPEED,
    ActivationOption,
    Device,
    DeviceOption,
    ModuleOptions,
    OverwriteOption,
    QuietOption,
    head_option,
)
from nfn_cli.cli.takes import argument, option
from nfn_cli.errors import UsageError
from nfn_cli.row_formats import FORMAT_HELP
from nfn_cli.row_formats import ScoreFormat as ScoreFormat
from nfn_cli.shipped import PREDICT

if TYPE_CHECKING:
    from nfn_cli.scoring import EngineSettings, Inputs


class Dtype(str, Enum):
    """Arithmetic of a head."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Engine(str, Enum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Which networks are meant."""

    paths: Annotated[
        list[str] | None,
        argument(
            "PATH", "Checkpoints, folders of them, globs, addresses such as s3://bucket/zoo, or - for a list on stdin."
        ),
    ] = None
    from_file: Annotated[Path | None, option(INPUT, "File with a list of paths, one a line or each ended by NUL.")] = (
        None
    )
    include: Annotated[
        list[str] | None, option(INPUT, "In folders, read only files that match; repeatable.", metavar="PATTERN")
    ] = None
    exclude: Annotated[
        list[str] | None, option(INPUT, "In folders, skip files that match; repeatable.", metavar="PATTERN")
    ] = None
    limit: Annotated[int | None, option(INPUT, "Read only the first N networks.", min=1)] = None

    def inputs(self) -> Inputs:
        """What to read."""
        from nfn_cli.scoring import Inputs

        return Inputs(self.paths or (), self.from_file, self.include or (), self.exclude or (), self.limit)


@dataclass(frozen=True, kw_only=True)
class SourceOptions(InputOptions):
    """Which networks go through which head, and how fast."""

    head: Annotated[str | None, head_option(PREDICT, help="the shipped one that fits")] = None
    activation: ActivationOption = None
    device: DeviceOption = Device.auto
    dtype: Annotated[Dtype, option(SPEED, "Arithmetic of the head.")] = Dtype.float32
    batch_size: Annotated[str, option(SPEED, "Largest number of networks in one batch.", metavar="N|auto")] = "auto"
    jobs: Annotated[
        int | None, option(SPEED, "Worker processes; 0: work in this one. [default: by the number of files]", min=0)
    ] = None
    engine: Annotated[Engine, option(SPEED, "ray spreads the work over a Ray cluster.")] = Engine.local
    quiet: QuietOption = False

    def settings(self, *, ordered: bool = False, hashed: bool = False) -> EngineSettings:
        """How the engine works.

        Raises:
            UsageError: no such device, activation, arithmetic or engine, or no number of networks.
        """
        from nfn_cli.scoring import engine_settings

        return engine_settings(
            self.head,
            self.device.value,
            self.activation,
            self.jobs,
            ordered,
            _parsed_batch_size(self.batch_size),
            self.dtype.value,
            engine=self.engine.value,
        ).changed(hashed=hashed)


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(SourceOptions):
    """The same, and where the rows go."""

    format: Annotated[ScoreFormat | None, option(OUTPUT, FORMAT_HELP)] = None
    output: Annotated[Path | None, option(OUTPUT, "File to write instead of stdout, which is -.", "--output", "-o")] = (
        None
    )
    overwrite: OverwriteOption = False
    resume: Annotated[
        bool,
        option(
            OUTPUT,
            "Continue the output file: unchanged inputs are skipped. Refused where its rows were made with another "
            "head, or with other options that change rows.",
            "--resume",
        ),
    ] = False
    hash: Annotated[
        bool,
        option(
            OUTPUT,
            "Detect changed inputs by their contents, not by size and time; with --resume, rows without a hash are "
            "computed again.",
            "--hash",
        ),
    ] = False
    ordered: Annotated[
        bool, option(OUTPUT, "Rows in the order of the inputs, or as they are finished.", "--ordered/--unordered")
    ] = True


@dataclass(frozen=True, kw_only=True)
class ModuleSourceOptions(SourceOptions, ModuleOptions):
    """Those of commands whose heads may read networks by the user's module."""

    def settings(self, *, ordered: bool = False, hashed: bool = False) -> EngineSettings:
        """See `SourceOptions`."""
        own = super().settings(ordered=ordered, hashed=hashed)
        return own.changed(model=self.model, input_shape=self.shape)


@dataclass(frozen=True, kw_only=True)
class ModuleScoringOptions(ScoringOptions, ModuleSourceOptions):
    """The same, and where the rows go."""


def _parsed_batch_size(value: str) -> int | None:
    """A number of networks, None for `auto`.

    Raises:
        UsageError: neither.
    """
    if value == "auto":
        return None
    if value.isascii() and value.isdigit() and 1 <= int(value[:8]) <= 1 << 20 and len(value) <= 8:
        return int(value)
    raise UsageError("--batch-size", f"{value} is no number of networks", "give 1 to 1048576, or auto")
