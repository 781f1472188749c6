"""Where long work is, on stderr: a bar on a terminal, a line now and then elsewhere, nothing where it is not wanted.

A thread of its own draws, so that work which takes long without a step is seen too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from nfn_cli.cli.failures import tell
from nfn_cli.cli.widths import terminal_width
from nfn_cli.phrases import escaped

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_DRAWINGS = 0.2
_TO_THE_END = "\x1b[K"  # of the line, erased: where Ctrl-C was pressed the terminal has written ^C behind the bar
_ECHO = 3  # columns that are left free for it: a line that is full would break
_LAYOUT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}{postfix}]"
_LAYOUT_WITHOUT_TOTAL = "{desc}: {n_fmt}{unit} [{elapsed}{postfix}]"
_LAYOUT_WITHOUT_STEPS = "{desc} [{elapsed}]"


@dataclass
class _Stage:
    """What is under way; `started` is when its first step that counts for its speed began."""

    name: str
    total: int | None
    unit: str
    started: float
    done: int = 0
    skipped: int = 0
    note: str = ""


class Progress:
    """Long work, a stage after the other. To be used in a `with` block, at whose end nothing is left on the screen.

    Args:
        quiet: show nothing.
        stage: what is under way at first.
    """

    def __init__(self, *, quiet: bool = False, stage: str = "starting") -> None:
        self.on_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        self._stage = _Stage(escaped(stage), None, "", self._began)
        self._bar: tqdm[Any] | None = None
        self._lock = threading.RLock()  # of stderr, as far as it is ours
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if not self._quiet:
            self._thread = threading.Thread(target=self._draw_always, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def stage(self, name: str, total: int | None = None, unit: str = "") -> None:
        """A new stage begins.

        Args:
            total: its steps, if that is known.
            unit: what a step is, such as `files`.
        """
        with self._lock:
            self._stage = _Stage(escaped(name), total, unit, time.monotonic())

    def rename(self, name: str) -> None:
        """The stage goes on under another name."""
        self._stage.name = escaped(name)

    def total(self, total: int | None) -> None:
        """How many steps the stage has, as far as anybody knows."""
        self._stage.total = total

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Steps were done.

        Args:
            note: something to show beside their number.
        """
        self._stage.done += steps
        if note is not None:
            self._stage.note = note

    def skip(self, steps: int) -> None:
        """Steps need not be done: they count, but not for the speed."""
        self._stage.done += steps
        self._stage.skipped += steps

    def each(self, name: str, items: Sequence[Item], unit: str = "files") -> Iterator[Item]:
        """The items, of which each is a step of a new stage, done when the next one is asked for."""
        self.stage(name, len(items), unit)
        for item in items:
            yield item
            self.advance()

    def tell(self, line: str) -> None:
        """Write a line to stderr, above the bar."""
        with self.aside():
            tell(line)

    def announce(self, line: str) -> None:
        """The same, unless nothing is to be shown."""
        if not self._quiet:
            self.tell(line)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep the bar from what is written to the terminal within the block."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            try:
                yield
                sys.stdout.flush()
            finally:
                if self._bar is not None:
                    self._bar.refresh()

    def close(self) -> None:
        """Take the bar away. May be called again."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None
                if os.name == "posix":
                    print(_TO_THE_END, end="", file=sys.stderr, flush=True)

    def _draw_always(self) -> None:
        wait = SECONDS_BEFORE_BAR if self.on_terminal else SECONDS_BETWEEN_LINES
        while not self._ended.wait(wait):
            with self._lock:
                if self._ended.is_set():
                    return
                try:
                    if self.on_terminal:
                        self._draw()
                    else:
                        print(f"nfn: {self._line()}", file=sys.stderr, flush=True)
                except OSError:  # stderr is full or closed: the work goes on without
                    return
            wait = _SECONDS_BETWEEN_DRAWINGS if self.on_terminal else SECONDS_BETWEEN_LINES

    def _draw(self) -> None:
        stage = self._stage
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(file=sys.stderr, leave=False, dynamic_ncols=True, delay=1)
            self._bar.dynamic_ncols = _room  # type: ignore[assignment]  # a function, when tqdm is made
            self._bar.delay = 0  # which kept it from showing itself while it was empty
        bar = self._bar
        steps = stage.done if stage.total is None else min(stage.done, stage.total)
        bar.n, bar.total, bar.initial = steps, stage.total, min(stage.skipped, steps)
        bar.desc, bar.unit = stage.name, f" {stage.unit}" if stage.unit else ""
        bar.unit_scale = (stage.total or stage.done) >= 100_000
        bar.start_t = bar.last_print_t = time.time() - (time.monotonic() - stage.started)
        bar.postfix = stage.note or None
        bar.bar_format = _LAYOUT if stage.total else _LAYOUT_WITHOUT_TOTAL if stage.done else _LAYOUT_WITHOUT_STEPS
        bar.refresh()

    def _line(self) -> str:
        """The same in words."""
        stage = self._stage
        elapsed = time.monotonic() - stage.started
        text = stage.name
        if stage.done or stage.total:
            of = f" of {stage.total:,}" if stage.total is not None and stage.done <= stage.total else ""
            text += f": {stage.done:,}{of}{' ' * bool(stage.unit)}{stage.unit} done"
            if stage.note:
                text += f", {stage.note}"
            worked = stage.done - stage.skipped
            if of and worked > 0 and stage.total is not None:
                return f"{text}, about {(stage.total - stage.done) * elapsed / worked:,.0f} s left"
        return f"{text}, for {elapsed:,.0f} s"


def _room(stream: TextIO) -> tuple[int, int | None]:
    """Columns for the bar, and rows, of which nobody asks."""
    return max(10, terminal_width(stream) - _ECHO), None
