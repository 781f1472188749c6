"""The user's own code: run where it can end the program and spoil its output as little as may be."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path


class UserCodeError(Exception):
    """The user's code raised something; the text is its type and first line, such as `RuntimeError: no luck`."""


@contextmanager
def user_code(folder: Path | None = None, *, quiet: bool = False) -> Iterator[None]:
    """Run code of the user's within the block.

    What it prints goes to stderr: stdout is for data. The current directory is as it was before behind it.

    Args:
        folder: where its modules are looked for first.
        quiet: hide what it prints, such as for a forward pass that runs many times.

    Raises:
        UserCodeError: it raised anything, `SystemExit` too; an interrupt passes.
    """
    entry = None if folder is None else os.fspath(folder)
    before = _here()
    if entry is not None:
        sys.path.insert(0, entry)
    try:
        with redirect_stdout(io.StringIO() if quiet else sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserCodeError(raised(error, folder)) from error
    finally:
        if entry is not None:
            with suppress(ValueError):  # the user's code may have removed it
                sys.path.remove(entry)
        if before is not None:
            with suppress(OSError):
                os.chdir(before)


def raised(error: BaseException, folder: Path | None = None) -> str:
    """An exception in one line: its type, its first line, and where below a folder it was raised.

    >>> raised(ValueError("\\none\\ntwo"))
    'ValueError: one'
    """
    lines = (line.strip() for line in _text(error).splitlines())
    message = next((line for line in lines if line), "")
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    place = None if folder is None else _place(error, folder)
    return f"{text}; {place}" if place else text


def _here() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of the user's may not even be printable
        return ""


def _place(error: BaseException, folder: Path) -> str | None:
    """The last line of the user's own that the error passed, such as `model.py, line 3`."""
    root = os.path.realpath(folder)
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = os.path.realpath(frame.f_code.co_filename)
        if os.path.dirname(path) == root:
            place = f"{os.path.basename(path)}, line {line}"
    return place
