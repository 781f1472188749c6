"""Where the making of a zoo is, and what an interrupted one leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.progress.bars import Progress


class ZooProgress:
    """Takes what a zoo that grows tells of itself.

    Args:
        work: such as `training`.
        things: that the zoo holds, such as `runs`.
        unit: of the steps.
    """

    def __init__(self, progress: Progress, work: str, things: str, unit: str) -> None:
        self._progress, self._work, self._things, self._unit = progress, work, things, unit
        self._held = (0, 0)

    def start(self, steps: int) -> None:
        """How many steps there will be."""
        self._progress.stage(self._work, steps, self._unit)

    def steps(self, steps: int) -> None:
        """Steps were done."""
        self._progress.advance(steps)

    def things(self, done: int, wanted: int) -> None:
        """How many of how many the folder holds."""
        self._held = (done, wanted)
        self._progress.rename(f"{self._work}, {done:,} of {wanted:,} {self._things} done")

    def kept(self) -> str:
        """What an interrupt leaves."""
        done, wanted = self._held
        kept = f"{done:,} of {wanted:,} {self._things} are kept, " if wanted else ""
        return f"{kept}the same command goes on from here"


@contextmanager
def zoo_progress(out: Path, work: str, things: str, unit: str, *, quiet: bool) -> Iterator[ZooProgress]:
    """The progress of a zoo that grows in `out`; arguments as in `ZooProgress`.

    Raises:
        Exit: interrupted.
    """
    progress = Progress(quiet=quiet, stage="reading")
    zoo = ZooProgress(progress, work, things, unit)
    with interrupt_message(zoo.kept, out), progress:
        yield zoo


@contextmanager
def import_progress(out: Path, unit: str, *, quiet: bool) -> Iterator[ZooProgress]:
    """The progress of an import, which is there as a whole or not at all.

    Raises:
        Exit: interrupted.
    """
    kept = "nothing is kept, the same command begins anew"
    with interrupt_message(lambda: kept, out), Progress(quiet=quiet, stage="looking around") as progress:
        yield ZooProgress(progress, "reading", unit, unit)
