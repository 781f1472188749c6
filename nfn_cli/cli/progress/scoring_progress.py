"""On stderr while many checkpoints are put through a head: progress, and the first failure of each cause."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.failures import FailuresAsTheyCome, print_note
from nfn_cli.cli.progress.bars import Progress

if TYPE_CHECKING:
    from nfn_cli.scoring import Scored


class ScoringProgress:
    """A bar on a terminal, else a line now and then; and each cause of failure with its first file.

    Args:
        total: files, if that is known.

    Attributes:
        scored, failed: rows so far.
        notes: what was assumed.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        self.scored = self.failed = 0
        self.notes: list[str] = []
        self._failures = FailuresAsTheyCome()
        self._total, self._skipped, self._quiet = total, 0, quiet
        self._started = time.monotonic()
        self._shown = Progress(quiet=quiet)
        self._shown.stage("scoring", total, "files")
        self._shown.__enter__()

    def advance(self, rows: Sequence[Scored[Any]], skipped: int) -> None:
        """Take note of rows, and of how many inputs have been skipped by now."""
        for row in (scored.row for scored in rows):
            if row.error is None:
                self.scored += 1
                continue
            self.failed += 1
            if (line := self._failures.take(row.path, row.error)) is not None:
                self._shown.print_line(line)
        done = self.scored + self.failed + skipped
        if self._total is not None and done > self._total:  # packed files hold many
            self._shown.total(None)
        self._shown.skip(skipped - self._skipped)
        self._skipped = skipped
        self._shown.advance(len(rows), f"{self.failed:,} failed")

    def aside(self) -> AbstractContextManager[None]:
        """Keep the bar from what is written to stdout within the block, where both are one terminal."""
        return self._shown.aside() if sys.stdout.isatty() else nullcontext()

    def close(self) -> None:
        """Take the bar away."""
        self._shown.close()

    def report(self, failed_before: int = 0) -> None:
        """Print what failed and was assumed, and, unless quiet, a summary; on stderr.

        Args:
            failed_before: how many of the skipped inputs had failed before.
        """
        for line in (*self._failures.end(), *self.notes):
            print_note(line)
        made = self.scored + self.failed
        if self._quiet or made + self._skipped < 2:
            return
        seconds = time.monotonic() - self._started
        rate = f", {_rate(made / seconds)} a second" if made and seconds > 0 else ""
        before = f" ({failed_before:,} of them failed before)" if failed_before else ""
        skipped = f", {self._skipped:,} skipped{before}" if self._skipped else ""
        print_note(f"{self.scored:,} scored, {self.failed:,} failed{skipped} in {seconds:,.1f} s{rate}")

    def exit_code(self, failed_before: int = 0) -> int:
        """0 all done, 1 some failed, 3 all did."""
        if not self.failed + failed_before:
            return 0
        return 1 if self.scored or self._skipped > failed_before else 3


def _rate(rate: float) -> str:
    """Of inputs a second.

    >>> _rate(1234.5), _rate(0.4567)
    ('1,234', '0.46')
    """
    return f"{rate:,.0f}" if rate >= 1 else f"{rate:.2g}"
