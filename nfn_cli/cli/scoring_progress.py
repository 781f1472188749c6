"""What stderr hears while many checkpoints are put through a head."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.failures import FailuresAsTheyCome
from nfn_cli.phrases import escaped

if TYPE_CHECKING:
    from nfn_cli.scoring import Scored

_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """A bar on a terminal, else a line now and then; and each cause of failure with its first file.

    Args:
        total: files, if that is known.

    Attributes:
        scored, failed: rows so far.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        from tqdm import tqdm

        self.scored = self.failed = 0
        self._failures = FailuresAsTheyCome()
        self._total = total
        self._started = self._told = time.monotonic()
        on_terminal = sys.stderr.isatty()
        looked_at = on_terminal and not quiet and (total is None or total > 1)
        self._bar = tqdm(total=total, unit="file", file=sys.stderr, disable=not looked_at, leave=False, mininterval=0.3)
        self._lines = not on_terminal and not quiet

    def advance(self, rows: Sequence[Scored[Any]], skipped: int) -> None:
        """Take note of rows, and of how many inputs have been passed over by now."""
        for row in (scored.row for scored in rows):
            if row.error is None:
                self.scored += 1
                continue
            self.failed += 1
            if (line := self._failures.take(row.path, row.error)) is not None:
                self._tell(f"nfn: {escaped(line)}")
        done = self.scored + self.failed + skipped
        if not self._bar.disable:
            if self._bar.total is not None and done > self._bar.total:  # packed files hold many
                self._bar.total = None
            self._bar.set_postfix(failed=self.failed, refresh=False)
            self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if self._lines and now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            self._tell(self._line(done, now - self._started))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep the bar from what is written to stdout within the block, where both are one terminal."""
        if self._bar.disable or not sys.stdout.isatty():
            yield
            return
        self._bar.clear()
        try:
            yield
            sys.stdout.flush()
        finally:
            self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def failures(self) -> list[str]:
        """Lines for the end: how many files failed as others had."""
        return self._failures.end()

    def summary(self, skipped: int, skipped_failed: int = 0) -> list[str]:
        """A line for the end: what was done.

        Args:
            skipped: inputs that were passed over.
            skipped_failed: how many of them had failed before.
        """
        lines = []
        if self.scored + self.failed + skipped > 1:
            seconds = time.monotonic() - self._started
            made = self.scored + self.failed
            rate = f", {made / seconds:,.0f} a second" if made and seconds > 0 else ""
            before = f" ({skipped_failed:,} of them failed before)" if skipped_failed else ""
            done = f"{self.scored:,} scored, {self.failed:,} failed, {skipped:,} passed over{before}"
            lines.append(f"{done} in {seconds:,.1f} s{rate}")
        return lines

    def _line(self, done: int, seconds: float) -> str:
        rate = (self.scored + self.failed) / seconds
        known = self._total is not None and done <= self._total
        of = f" of {self._total:,}" if known else ""
        left = f", about {(self._total - done) / rate:,.0f} s left" if known and rate > 0 else ""  # type: ignore[operator]
        return f"nfn: {done:,}{of} done, {self.failed:,} failed, {rate:,.0f} a second{left}"

    def _tell(self, line: str) -> None:
        if self._bar.disable:
            print(line, file=sys.stderr)
        else:
            self._bar.write(line, file=sys.stderr)
