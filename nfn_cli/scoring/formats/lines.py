"""Formats whose files are lines: what they differ in, how such a file grows, and what is found in it later."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints import require_writable
from nfn_cli.errors import DataError
from nfn_cli.scoring.atomic import cut, replaced
from nfn_cli.scoring.columns import MADE_WITH, made_with_unknown
from nfn_cli.scoring.formats.line_sink import LineSink
from nfn_cli.scoring.formats.row_format import Columns, EarlierRecords, Record, RecordSink
from nfn_cli.scoring.formats.values import as_utf8, plain_values

_REMEDY = "name the file of an earlier run of the same command, or leave out --resume"


class LineFormat:
    """A `TextFormat` and a `GrowingFormat`; a format of lines says how a line is written and read."""

    def line(self, record: Record, columns: Sequence[str]) -> str:
        """A record as text that ends with a line break."""
        raise NotImplementedError

    def parsed(self, line: str, columns: Sequence[str]) -> Any:
        """The record again.

        Raises:
            ValueError, csv.Error: it is none.
        """
        raise NotImplementedError

    def header(self, columns: Sequence[str]) -> str:
        """The line before all others, if there is one."""
        return ""

    def read_header(self, line: bytes) -> bytes:
        """The first line of a file, as `header` would write what it says."""
        return line

    def is_whole(self, lines: bytes) -> bool:
        """Whether lines end where a record does."""
        return True

    def text(self, rows: Sequence[Any], columns: Sequence[str], *, first: bool) -> str:
        """See `TextFormat`."""
        lines = "".join(self.line(plain_values(row), columns) for row in rows)
        return self.header(columns) + lines if first else lines

    def end(self, *, empty: bool) -> str:
        """See `TextFormat`."""
        return ""

    def require(self, path: Path) -> None:
        """See `GrowingFormat`."""
        require_writable(path, overwrite=True)

    def sink(self, path: Path, columns: Columns, *, replace: bool) -> RecordSink:
        """See `GrowingFormat`."""
        names = list(columns)
        return LineSink(path, self.header(names), lambda record: self.line(record, names), replace=replace)

    def earlier(self, path: Path, columns: Columns) -> EarlierRecords:
        """See `GrowingFormat`."""
        return _EarlierLines(path, self, list(columns))


class _EarlierLines:
    """The lines of a file. A last one that a kill or a power failure has torn is ignored.

    Something else, such as a spreadsheet, may have written the file anew, in its own way. It is written as ours then.
    """

    def __init__(self, path: Path, format: LineFormat, columns: Sequence[str]) -> None:
        self._path, self._format, self._columns = path, format, columns
        self._header = as_utf8(format.header(columns))
        self._edited = False
        self._end = len(self._header)  # of what is whole

    def read(self) -> Iterator[Record]:
        """See `EarlierRecords`."""
        self._edited = self._begins_otherwise()
        for record, line in self._lines():
            self._end += len(line)
            self._edited |= line.endswith(b"\r\n")
            yield record

    def keep(self, stay: Sequence[bool]) -> None:
        """See `EarlierRecords`."""
        if self._edited or not all(stay):
            replaced(self._path, lambda new: self._write(new, stay))
        else:
            cut(self._path, self._end if stay else 0)

    def _write(self, new: Path, stay: Sequence[bool]) -> None:
        with new.open("wb") as file:
            file.write(self._header)
            for (record, line), stays in zip(self._lines(), stay, strict=True):
                if stays:
                    file.write(as_utf8(self._format.line(record, self._columns)) if self._edited else line)

    def _begins_otherwise(self) -> bool:
        try:
            with self._path.open("rb") as file:
                begin = file.readline()
        except OSError:
            return False  # reading it says why
        other_header = bool(self._header) and begin.endswith(b"\n") and begin != self._header
        return other_header or begin.startswith(BOM_UTF8)

    def _lines(self) -> Iterator[tuple[Record, bytes]]:
        """Every whole record and its bytes."""
        try:
            with self._path.open("rb") as file:
                if self._header and not self._has_header(file.readline()):
                    return
                line = b""
                for piece in file:
                    line += piece if line else piece.removeprefix(BOM_UTF8)
                    if not self._format.is_whole(line):
                        continue
                    if not line.endswith(b"\n"):
                        return
                    yield self._record(line), line
                    line = b""
        except OSError as error:
            raise DataError(self._path, f"cannot be read ({error.strerror})", _REMEDY) from error
        except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
            raise DataError(self._path, f"holds a line that is no row ({error})", _REMEDY) from error

    def _has_header(self, first: bytes) -> bool:
        """Whether the first line is the header, not a part of it that a kill has left.

        Raises:
            DataError: it is another one.
        """
        found = self._format.read_header(first)
        if not found.endswith(b"\n") and self._header.startswith(found):
            return False
        if found == as_utf8(self._format.header([name for name in self._columns if name != MADE_WITH])):
            raise made_with_unknown(self._path)
        if found != self._header:
            raise DataError(self._path, "holds other columns than this command writes", _REMEDY)
        return True

    def _record(self, line: bytes) -> Record:
        found = self._format.parsed(line.decode("utf-8"), self._columns)
        if not isinstance(found, dict) or set(found) | {MADE_WITH} != set(self._columns):
            raise ValueError("of other columns")
        if not isinstance(found["path"], str):
            raise ValueError("of other columns")
        if found["bytes"] not in (None, ""):
            found["bytes"] = int(found["bytes"])
        if MADE_WITH not in found:
            raise made_with_unknown(self._path)
        return found
