"""Two checkpoints that are read to be compared: for `verify`, `compare` and `align`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import ReadingOptions
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.errors import CheckpointError
from nfn_cli.threads import numbers_in, threads_for

if TYPE_CHECKING:
    from nfn_cli.symmetry import Watch
    from nfn_cli.symmetry.sources import AnySource


@dataclass(frozen=True)
class Two:
    """Two networks as they were read, the second by the first's configuration where it has none.

    Attributes:
        watch: shows what is done with them.
    """

    first: AnySource
    second: AnySource
    watch: Watch

    @property
    def assumptions(self) -> list[str]:
        """Lines on what was taken for granted of them."""
        one, other = self.first.reading.assumed, self.second.reading.assumed
        lines = [f"assumed: {one}"] if one else []
        return [*lines, f"assumed of {self.second.checkpoint.path}: {other}"] if other and other != one else lines


@contextmanager
def working(quiet: bool, *paths: Path, interrupted: str = "nothing was decided") -> Iterator[Progress]:
    """The frame of reading and computing: its progress, its threads, and what an interrupt leaves.

    Args:
        interrupted: said on an interrupt.
    """
    with (
        interrupt_message(lambda: interrupted),
        Progress(quiet=quiet, stage="reading") as progress,
        threads_for(numbers_in(*paths)),
    ):
        yield progress


def watch_of(progress: Progress, unit: str) -> Watch:
    """Shows what is done, in steps of a unit."""
    from nfn_cli.symmetry import Watch

    return Watch(lambda name, steps: progress.stage(name, steps, unit), progress.advance)


def read_two(path: Path, other: Path, reading: ReadingOptions, progress: Progress, *, gauges: bool = False) -> Two:
    """Read two checkpoints.

    Args:
        gauges: whether to look for gauges, which takes time.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    from nfn_cli.symmetry import Source
    from nfn_cli.symmetry.sources import read_any

    stated, tracer = reading.stated(), reading.tracer(gauges=gauges)
    first = read_any(path, stated, tracer)
    second = read_any(other, stated, tracer, like=first)
    return Two(first, second, watch_of(progress, "layers" if isinstance(first, Source) else "steps"))


def require_files(command: str, *paths: Path) -> None:
    """Check that there are two checkpoints before anything is read.

    Raises:
        CheckpointError: one does not exist, or is a folder.
    """
    from nfn_cli.symmetry.verification import require_there

    require_there(*paths)
    for given in paths:
        if os.path.isdir(given):
            raise CheckpointError(given, f"a folder, and {command} takes two checkpoints", "give a file in it")
