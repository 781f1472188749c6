"""How a command over many files ends, and how it tells which of them failed: each cause once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import typer

from nfn_cli.cli.widths import width_of, wrapped
from nfn_cli.phrases import escaped, files

_INDENT = "  "  # of a line that goes on
_MANY = 3  # files of one cause that are told together
_NAMED = 2  # of them
_MOST_LINES = 20
_LONGEST = 160  # letters of a cause that was told before


class FileRow(Protocol):
    """What a command says of a file."""

    @property
    def path(self) -> str:
        """Its name."""

    @property
    def error(self) -> str | None:
        """The one line that says why it failed."""


def tell(line: str) -> None:
    """Write a line to stderr, without what could command a terminal; a terminal gets it broken between words."""
    width = width_of(sys.stderr) if sys.stderr.isatty() else None
    for part in wrapped(f"nfn: {escaped(line)}", width, indent=_INDENT, cut=False):
        print(part, file=sys.stderr)


def cause_of(path: str, error: str) -> str:
    """Cause and remedy of an error, without the file's name before them."""
    for name in (path, escaped(path)):
        if error.startswith(f"{name}: "):
            return error.removeprefix(f"{name}: ")
    return error


def failure_lines(failed: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each file that failed; many of one cause are one line. Causes are in the order of their first files.

    Args:
        failed: paths and errors.
    """
    by_cause: dict[str, list[tuple[str, str]]] = {}
    for path, error in dict.fromkeys(failed):  # copies of a file fail as one
        by_cause.setdefault(cause_of(path, error), []).append((path, error))
    lines: list[tuple[str, int]] = []  # each with the number of files
    for cause, own in by_cause.items():
        if len(own) < _MANY:
            lines += [(error, 1) for _, error in own]
        else:
            named = ", ".join(path for path, _ in own[:_NAMED])
            lines.append((f"{files(len(own))}: {cause}; first: {named}", len(own)))
    told = [line for line, _ in lines[:_MOST_LINES]]
    if left := sum(count for _, count in lines[_MOST_LINES:]):
        told.append(_more(left))
    return told


class FailuresAsTheyCome:
    """Failures of a long run: a cause is told with its first file, the number of others at the end."""

    def __init__(self) -> None:
        self._others: dict[str, list[str]] = {}  # by cause, the first files after the one that was told with it
        self._counts: Counter[str] = Counter()  # of them all
        self._untold = 0

    def take(self, path: str, error: str) -> str | None:
        """The line to say of a file that has failed, if any."""
        cause = cause_of(path, error)
        if cause in self._others:
            self._counts[cause] += 1
            if len(self._others[cause]) < _NAMED:
                self._others[cause].append(path)
            return None
        if len(self._others) == _MOST_LINES:
            self._untold += 1
            return None
        self._others[cause] = []
        return error

    def end(self) -> list[str]:
        """Lines for the end: how many files failed as others had, and how many for reasons that were not told."""
        lines = []
        for cause, named in self._others.items():
            if named:
                short = cause.partition("; ")[0]  # it was told whole
                short = short if len(short) <= _LONGEST else f"{short[:_LONGEST]}..."
                count = self._counts[cause]
                lines.append(f"{files(count)} more: {short}; {'first: ' if count > _NAMED else ''}{', '.join(named)}")
        return [*lines, _more(self._untold)] if self._untold else lines


def leave_with(rows: Sequence[FileRow], notes: Sequence[str] = (), *, fine: int = 0) -> None:
    """Say notes and errors on stderr; leave with 1 if some files failed, with 3 if all did.

    Args:
        fine: files beside those of the rows, with which nothing is wrong.
    """
    sys.stdout.flush()
    failed = [(_subject(row, row.error), row.error) for row in rows if row.error is not None]
    for line in (*notes, *failure_lines(failed)):
        tell(line)
    if failed:
        raise typer.Exit(3 if len(failed) == len(rows) + fine else 1)


def _subject(row: FileRow, error: str) -> str:
    """The file that an error is about: what should be written, where that is what is wrong."""
    output = getattr(row, "output", None)
    return str(output) if output and cause_of(str(output), error) != error else row.path


def _more(count: int) -> str:
    return f"... and {files(count)} more failed, of other causes"
