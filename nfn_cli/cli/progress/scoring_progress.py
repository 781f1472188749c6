"""What stderr hears while many checkpoints are put through a head: where the work is, and the first failures."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.failures import FailuresAsTheyCome
from nfn_cli.cli.progress import bars as progress

if TYPE_CHECKING:
    from nfn_cli.scoring import Scored


class Progress:
    """A bar on a terminal, else a line now and then; and each cause of failure with its first file.

    Args:
        total: files, if that is known.

    Attributes:
        scored, failed: rows so far.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        self.scored = self.failed = 0
        self._failures = FailuresAsTheyCome()
        self._total, self._skipped = total, 0
        self._started = time.monotonic()
        self._shown = progress.Progress(quiet=quiet)
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
                self._shown.tell(line)
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

    def failures(self) -> list[str]:
        """Lines for the end: how many files failed as others had."""
        return self._failures.end()

    def summary(self, skipped: int, skipped_failed: int = 0) -> list[str]:
        """A line for the end: what was done.

        Args:
            skipped: inputs that were skipped.
            skipped_failed: how many of them had failed before.
        """
        lines = []
        if self.scored + self.failed + skipped > 1:
            seconds = time.monotonic() - self._started
            made = self.scored + self.failed
            rate = f", {made / seconds:,.0f} a second" if made and seconds > 0 else ""
            before = f" ({skipped_failed:,} of them failed before)" if skipped_failed else ""
            passed = f", {skipped:,} skipped{before}" if skipped else ""
            lines.append(f"{self.scored:,} scored, {self.failed:,} failed{passed} in {seconds:,.1f} s{rate}")
        return lines
