"""Where the rows of a scoring command go: to stdout, to a file as a whole, or to one that can be continued."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.options import Format, refuse_existing
from nfn_cli.cli.scoring_options import ScoreFormat, ScoringCall
from nfn_cli.errors import NfnError, UsageError
from nfn_cli.phrases import lines_for_terminal

if TYPE_CHECKING:
    from nfn_cli.cli.output import Layout
    from nfn_cli.scoring import Scored

_TABLE_ROWS = 1_000
_SUFFIXES = {f".{format.value}": format for format in ScoreFormat if format is not ScoreFormat.table}
_GROWING = (ScoreFormat.csv, ScoreFormat.jsonl, ScoreFormat.parquet)


class Output:
    """Where rows go.

    Attributes:
        done: names of rows that are there already.
        failed: how many of them are of files that failed.
    """

    done: frozenset[str] = frozenset()
    failed: int = 0

    @property
    def remedy(self) -> str:
        """What to do after an interrupt."""
        raise NotImplementedError

    def begin(self) -> None:
        """Take up what there is already."""

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """Take rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Whatever has happened: keep what there is."""

    def finish(self) -> None:
        """No more rows will come."""


def output_of(call: ScoringCall, kind: type, table: Layout) -> Output:
    """The output that a call asks for; refuses, before any work, what could not be written.

    Args:
        kind: the dataclass of its rows.
        table: lays them out for people.
    """
    from nfn_cli.checkpoints import require_writable

    format = _format(call)
    if call.output is None:
        return _Stdout(format, kind, table)
    if format in _GROWING:
        if os.path.exists(call.output) and not (call.overwrite or call.resume):
            remedy = "pass --overwrite to replace it, or --resume to continue it"
            raise UsageError(call.output, "exists already", remedy)
        return _Growing(call, call.output, format.value, kind)
    refuse_existing(call.output, overwrite=call.overwrite)
    require_writable(call.output, overwrite=call.overwrite)
    return _Whole(call.output, format, kind, table, overwrite=call.overwrite)


def _format(call: ScoringCall) -> ScoreFormat | None:
    """What the output is written as.

    Raises:
        UsageError: a format that cannot go where it should.
    """
    format = call.format
    if format is None and call.output is not None:
        format = _SUFFIXES.get(call.output.suffix.lower())
    if format is ScoreFormat.parquet and call.output is None:
        raise UsageError("--format parquet", "cannot go to stdout", "give --output FOLDER")
    if call.resume:
        if call.output is None:
            raise UsageError("--resume", "there is no file to continue", "give --output FILE")
        if format not in _GROWING:
            raise UsageError("--resume", "only csv, jsonl and parquet are continued", "choose one by --format")
        if call.overwrite:
            raise UsageError("--resume", "contradicts --overwrite", "give one of the two")
    return format


def _plain(format: ScoreFormat | None) -> Format | None:
    return Format(format.value) if format else None


class _Stdout(Output):
    """Rows as they are made; a table for people in blocks."""

    remedy = "for a run that can be continued, write to a file (--output rows.csv)"

    def __init__(self, format: ScoreFormat | None, kind: type, table: Layout) -> None:
        self._format = _plain(format)
        self._kind, self._table = kind, table
        as_table = self._format is Format.table or (self._format is None and sys.stdout.isatty())
        self._block = _TABLE_ROWS if as_table else 1
        self._rows: list[Any] = []
        self._first = True

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Output`."""
        self._rows += [scored.row for scored in rows]
        if len(self._rows) >= self._block:
            self._print()

    def finish(self) -> None:
        """See `Output`."""
        if self._rows or self._first:
            self._print()
        if self._format is Format.json:
            print_all("\n]\n" if self._written else "]\n")

    _written = False

    def _print(self) -> None:
        from nfn_cli.cli.output import render_rows
        from nfn_cli.scoring.formats import json_text, plain_values

        if self._format is Format.json:
            # One list, but not all of it in memory.
            items = [json_text(plain_values(row), indent=2) for row in self._rows]
            text = "[" if self._first else ""
            for item in items:
                text += (",\n  " if self._written else "\n  ") + item.replace("\n", "\n  ")
                self._written = True
            print_all(text)
        elif self._block == 1:
            print_all(render_rows(self._rows, self._kind, self._table, self._format, header=self._first))
        else:
            from nfn_cli.cli.output import write_rows

            write_rows(self._rows, self._kind, self._table, self._format, sys.stdout)
            print_all("")
        self._rows, self._first = [], False


def print_all(text: str | bytes) -> None:
    """Bring text, or bytes as they are, to stdout.

    Raises:
        DataError: it does not take it, such as a full disk behind it.
        BrokenPipeError: nobody reads it.
    """
    from nfn_cli.errors import DataError

    try:
        if isinstance(text, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(text)
        else:
            sys.stdout.write(lines_for_terminal(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DataError("stdout", f"cannot be written ({error.strerror})", "make room") from error


class _Whole(Output):
    """A file that is written at the end, whole or not at all."""

    def __init__(self, path: Path, format: ScoreFormat | None, kind: type, table: Layout, *, overwrite: bool) -> None:
        self._path, self._format, self._kind, self._table = path, _plain(format), kind, table
        self._overwrite = overwrite
        self._rows: list[Any] = []
        self._finished = False

    @property
    def remedy(self) -> str:
        """See `Output`."""
        there = f"{self._path} holds what was scored until then" if self._finished else "nothing was written"
        return f"{there}; csv, jsonl and parquet can be continued by --resume"

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Output`."""
        self._rows += [scored.row for scored in rows]

    def finish(self) -> None:
        """See `Output`."""
        from nfn_cli.checkpoints import write_text_atomically
        from nfn_cli.cli.output import render_rows

        text = render_rows(self._rows, self._kind, self._table, self._format)
        write_text_atomically(self._path, text, overwrite=self._overwrite)
        self._finished = True


class _Growing(Output):
    """A file that holds every row as soon as it is made."""

    def __init__(self, call: ScoringCall, path: Path, format: str, kind: type) -> None:
        from nfn_cli.scoring.files import require_output

        self._path, self._format, self._kind = path, format, kind
        self._replaces, self._resumes = call.overwrite, call.resume
        self._sink: Any = None
        require_output(path, format, replace=call.overwrite)

    @property
    def remedy(self) -> str:
        """See `Output`."""
        if self._replaces and self._sink is None:
            return f"{self._path} is as it was"
        with_it = "--resume in place of --overwrite" if self._replaces else "--resume"
        return f"the same command with {with_it} goes on from here ({self._path})"

    def begin(self) -> None:
        """See `Output`."""
        from nfn_cli.scoring.files import resume

        if self._resumes:
            there = resume(self._path, self._format, self._kind, unchanged())
            self.done, self.failed = there.done, there.failed

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Output`."""
        if rows:
            self._opened().write(rows)

    def close(self) -> None:
        """See `Output`."""
        if self._sink is not None:
            self._sink.close()

    def finish(self) -> None:
        """See `Output`."""
        if self._sink is None:
            self._opened().close()

    def _opened(self) -> Any:
        from nfn_cli.scoring.files import open_sink

        if self._sink is None:
            self._sink = open_sink(self._path, self._format, self._kind, replace=self._replaces)
        return self._sink


def unchanged() -> Callable[[str, Any], bool | None]:
    """Whether a row's input is as it was; None where it is gone."""
    from nfn_cli.checkpoints import is_address
    from nfn_cli.scoring.reading import stamp_of

    # Each network of a packed file asks for the same stamp.
    stamp_now = lru_cache(maxsize=1024)(stamp_of)

    def answer(name: str, stamp: Any) -> bool | None:
        path = name
        if is_address(name) or not os.path.lexists(name):
            file, mark, place = name.rpartition("#")
            path = file if mark and place.isdigit() else name
        try:
            return bool(stamp_now(path, hashed=stamp.hash is not None).same_as(stamp))
        except NfnError:
            return None

    return answer
