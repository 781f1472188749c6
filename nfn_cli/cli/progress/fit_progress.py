"""Progress of a fit, and what is kept after an interrupt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.folders import claimed

if TYPE_CHECKING:
    from nfn_cli.learning import FitPlan

_SECONDS_BEFORE_ESTIMATE = 5.0


class FitProgress:
    """Shows what a fit reports: stages before and after it, its members, and their epochs or steps.

    Args:
        unit: of the steps, such as `epochs`.
    """

    def __init__(self, progress: Progress, unit: str) -> None:
        self._progress, self._unit = progress, unit
        self._left, self._done, self._began = 0, 0, 0.0
        self._announcement: str | None = None
        self._member, self._epoch = "", 0

    def stage(self, name: str) -> None:
        """A stage begins; while steps are left, it is one of them, such as a member."""
        if self._left:
            self._member, self._epoch = name, 0
            self._progress.rename(self._name())
        else:
            self._progress.stage(name)

    def reading(self, networks: int) -> None:
        """So many networks will be read."""
        self._progress.stage("reading", networks, "networks")

    def read(self, networks: int) -> None:
        """So many more were read."""
        self._progress.advance(networks)

    def plan(self, plan: FitPlan) -> None:
        """What the fit will take. Once some steps have shown how long they take, a long fit is announced."""
        self._left = plan.steps
        members = f"{plan.members} members of " if plan.members > 1 else ""
        self._announcement = f"fitting to {plan.networks:,} networks, {members}{plan.epochs:,} {self._unit}"
        self._began = time.monotonic()
        self._progress.stage("fitting", plan.steps, self._unit)

    def resumed(self) -> None:
        """The fit goes on from the state that a stopped one has left."""
        self._progress.announce("going on with an unfinished fit, from the state that it left")

    def step(self, loss: float) -> None:
        """A step is done."""
        self._count(1)
        self._done += 1
        self._announce(time.monotonic() - self._began)
        self._progress.advance(1, f"loss {loss:.3g}")

    def steps(self, count: int) -> None:
        """Steps of fits in other processes are done, of which no loss is known."""
        if count:
            self._count(count)
            self._done += count
            self._announce(time.monotonic() - self._began)
            self._progress.advance(count)

    def announce(self, line: str) -> None:
        """Write a line of its own."""
        self._progress.announce(line)

    def skip(self, steps: int) -> None:
        """Steps were done in an earlier run, or need not be done."""
        self._count(steps)
        self._progress.skip(steps)

    def _announce(self, seconds: float) -> None:
        if self._announcement is None or seconds < _SECONDS_BEFORE_ESTIMATE:
            return
        minutes = self._left * seconds / self._done / 60
        if minutes >= 1:
            self._progress.announce(f"{self._announcement}: about {minutes:,.0f} min")
        self._announcement = None

    def _count(self, steps: int) -> None:
        self._left -= steps
        self._epoch += steps
        self._progress.rename(self._name())

    def _name(self) -> str:
        """Such as `member 2 of 4, epoch 7`, of the one under way."""
        epoch = f"{self._unit.removesuffix('s')} {self._epoch + 1}"
        return f"{self._member}, {epoch}" if self._member else "fitting"


@contextmanager
def fit_progress(out: Path, unit: str, *, quiet: bool) -> Iterator[FitProgress]:
    """The progress of a fit that writes a head to `out`, which no other run writes to meanwhile.

    Raises:
        Exit: interrupted.
        DataError: another run writes to it, or it cannot be made.
    """

    def kept() -> str:
        from nfn_cli.learning import has_state

        return (
            "the same command goes on from here" if has_state(out) else "nothing is kept, the same command starts over"
        )

    with claimed(out), interrupt_message(kept, out), Progress(quiet=quiet, stage="reading") as progress:
        yield FitProgress(progress, unit)
