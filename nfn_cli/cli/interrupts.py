"""Ctrl-C: what the user hears, and a command that can be continued."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.program import INTERRUPTED

_TOLD = b"\nnfn: finishing what is under way; Ctrl-C again ends at once\n"


@contextmanager
def interrupt_message(kept: Callable[[], str], subject: Path | None = None) -> Iterator[None]:
    """Meet Ctrl-C within the block: one line, and the documented exit code.

    Args:
        kept: what to say of what there is, and of how to go on.
        subject: what that is about, if it is one file or folder.

    Raises:
        Exit: interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        about = "" if subject is None else f"{subject}: "
        tell(f"{about}interrupted; {kept()}")
        raise typer.Exit(INTERRUPTED) from None


class Stop:
    """Ctrl-C: the first lets what is under way be finished, the second ends it (`KeyboardInterrupt`)."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        """Whether the user has asked to stop."""
        return self._asked

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Meet Ctrl-C within the block, unless the program was started to ignore it."""

        def handle(number: int, frame: Any) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True
            # Not by print: a handler may come in the middle of another one.
            with suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), _TOLD)

        before = signal.getsignal(signal.SIGINT)
        if before is signal.SIG_IGN:
            yield
            return
        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
