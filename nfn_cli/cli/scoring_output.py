"""Where the rows of a scoring command go: to stdout, to a file as a whole, or to one that can be continued."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.options import require_free
from nfn_cli.cli.scoring_options import ScoringOptions
from nfn_cli.errors import NfnError, UsageError
from nfn_cli.phrases import lines_for_terminal
from nfn_cli.row_formats import RESUMABLE, SUFFIXES, TEXT_SUFFIX, RowFormat, listed

if TYPE_CHECKING:
    from nfn_cli.cli.output import Layout
    from nfn_cli.scoring import Scored

_TABLE_ROWS = 1_000
_STDOUT = Path("-")


class Output:
    """Where rows go.

    Attributes:
        done: names of rows that are there already.
        failed: how many of them are of files that failed.
        hashed: whether they tell a hash of their files, and new ones therefore as well.
    """

    done: frozenset[str] = frozenset()
    failed: int = 0
    hashed: bool = False

    @property
    def remedy(self) -> str:
        """What to do after an interrupt."""
        raise NotImplementedError

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs from what is written to, for the block.

        Raises:
            DataError: another run writes to it.
            UsageError: it exists by now, and shall not be replaced.
        """
        yield

    def begin(self, made_with: Callable[[], str]) -> None:
        """Take up what there is already.

        Args:
            made_with: what the rows are made with, see `nfn_cli.scoring.made_with`.
        """

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """Take rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Whatever has happened: keep what there is."""

    def finish(self) -> None:
        """No more rows will come."""


def output_of(call: ScoringOptions, kind: type, table: Layout) -> Output:
    """The output that a call asks for; refuses, before any work, what could not be written.

    Args:
        kind: the dataclass of its rows.
        table: lays them out for people.
    """
    path = None if call.output == _STDOUT else call.output
    format = _format(call, path)
    if path is None:
        return _Stdout(format, kind, table)
    if format.resumable:
        return _Growing(call, path, format, kind)
    return _Whole(path, format, kind, table, overwrite=call.overwrite)


def _format(call: ScoringOptions, path: Path | None) -> RowFormat:
    """What the output is written as.

    Raises:
        UsageError: a format that cannot go where it should, or whose file would be called what it is not.
    """
    given = None if call.format is None else RowFormat(call.format)
    if path is not None:
        format = _format_of_file(path, given)
    else:
        format = given or (RowFormat.table if sys.stdout.isatty() else RowFormat.plain)
        if not format.on_stdout:
            raise UsageError(f"--format {format.value}", "cannot go to stdout", "give --output FOLDER")
    if call.resume:
        if path is None:
            raise UsageError("--resume", "there is no file to continue", "give --output FILE")
        if not format.resumable:
            raise UsageError("--resume", f"only {listed(RESUMABLE)} are continued", "choose one by --format")
        if call.overwrite:
            raise UsageError("--resume", "contradicts --overwrite", "give one of the two")
    return format


def _format_of_file(path: Path, given: RowFormat | None) -> RowFormat:
    from nfn_cli.checkpoints import SUFFIXES as CHECKPOINTS

    suffix = path.suffix.lower()
    if given is None:
        if suffix not in SUFFIXES:
            cause = (
                f"its suffix {suffix} names no format of rows" if suffix else "no suffix names the format of its rows"
            )
            raise UsageError(path, cause, f"end it in one of {', '.join(sorted(SUFFIXES))}, or give --format")
        return SUFFIXES[suffix]
    fits = given.on_stdout if suffix == TEXT_SUFFIX else SUFFIXES.get(suffix, given) is given
    if not fits or suffix in (*CHECKPOINTS, ".png"):
        raise UsageError(path, f"its suffix contradicts --format {given.value}", "change one of the two")
    return given


class _Stdout(Output):
    """Rows as they are made; a table for people in blocks."""

    remedy = "for a run that can be continued, write to a file (--output rows.csv)"

    def __init__(self, format: RowFormat, kind: type, table: Layout) -> None:
        self._format, self._kind, self._table = format, kind, table
        self._block = _TABLE_ROWS if format is RowFormat.table else 1
        self._rows: list[Any] = []
        self._first = True
        self._empty = True

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Output`."""
        self._rows += [scored.row for scored in rows]
        if len(self._rows) >= self._block:
            self._print()

    def finish(self) -> None:
        """See `Output`."""
        if self._rows or self._first:
            self._print()
        if self._format is not RowFormat.table:
            from nfn_cli.scoring.formats import text_format

            print_all(text_format(self._format).end(empty=self._empty))

    def _print(self) -> None:
        if self._format is RowFormat.table:
            from nfn_cli.cli.output import write_rows

            write_rows(self._rows, self._kind, self._table, self._format, sys.stdout)
            print_all("")
        else:
            from nfn_cli.scoring.formats import text_format

            columns = [field.name for field in fields(self._kind)]
            print_all(text_format(self._format).text(self._rows, columns, first=self._first))
        self._empty = self._empty and not self._rows
        self._rows, self._first = [], False


def print_all(text: str | bytes) -> None:
    """Bring text, or bytes as they are, to stdout, at once."""
    if isinstance(text, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
    else:
        sys.stdout.write(lines_for_terminal(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


class _File(Output):
    """A file or folder, which no other run writes to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.refuse()

    def refuse(self) -> None:
        """Refuse what could not be written, or is there and shall stay.

        Raises:
            UsageError, DataError, CheckpointError: so it is.
        """
        raise NotImplementedError

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Output`."""
        from nfn_cli.locks import OutputLock

        with OutputLock(self._path):
            self.refuse()  # another run may have ended since
            yield


class _Whole(_File):
    """A file that is written at the end, whole or not at all."""

    def __init__(self, path: Path, format: RowFormat, kind: type, table: Layout, *, overwrite: bool) -> None:
        self._format, self._kind, self._table = format, kind, table
        self._overwrite = overwrite
        super().__init__(path)
        self._rows: list[Any] = []
        self._finished = False

    def refuse(self) -> None:
        """See `_File`."""
        require_free(self._path, overwrite=self._overwrite)

    @property
    def remedy(self) -> str:
        """See `Output`."""
        there = f"{self._path} holds what was scored until then" if self._finished else "nothing was written"
        return f"{there}; {listed(RESUMABLE)} can be continued by --resume"

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


class _Growing(_File):
    """A file that holds every row as soon as it is made."""

    def __init__(self, call: ScoringOptions, path: Path, format: RowFormat, kind: type) -> None:
        self._format, self._kind = format, kind
        self._replaces, self._resumes, self._hashed = call.overwrite, call.resume, call.hash
        self._sink: Any = None
        super().__init__(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Output`."""
        from nfn_cli.folders import make_folder, remove_empty

        # The lock lies beside the output, so that the folder must be there: Parquet is written into any.
        made = make_folder(self._path.parent)
        try:
            with super().held():
                yield
        finally:
            remove_empty(made)  # if nothing was written

    def refuse(self) -> None:
        """See `_File`."""
        from nfn_cli.scoring.sinks import require_output

        if os.path.exists(self._path) and not (self._replaces or self._resumes):
            remedy = "pass --overwrite to replace it, or --resume to continue it"
            raise UsageError(self._path, "exists already", remedy)
        require_output(self._path, self._format, replace=self._replaces)

    @property
    def remedy(self) -> str:
        """See `Output`."""
        if self._replaces and self._sink is None:
            return f"{self._path} is as it was"
        with_it = "--resume in place of --overwrite" if self._replaces else "--resume"
        return f"the same command with {with_it} goes on from here ({self._path})"

    def begin(self, made_with: Callable[[], str]) -> None:
        """See `Output`."""
        from nfn_cli.scoring.resume import resume

        self._made_with = made_with()
        if self._resumes:
            there = resume(self._path, self._format, self._kind, self._made_with, unchanged(), hashed=self._hashed)
            self.done, self.failed, self.hashed = there.done, there.failed, there.hashed

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
        from nfn_cli.scoring.sinks import open_sink

        if self._sink is None:
            kind, made_with = self._kind, self._made_with
            self._sink = open_sink(self._path, self._format, kind, made_with, replace=self._replaces)
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
