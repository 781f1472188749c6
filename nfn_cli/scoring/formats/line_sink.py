"""A file that grows by whole lines, which are on the disk before the next ones are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nfn_cli.errors import DataError
from nfn_cli.scoring.atomic import AGAIN, replaced
from nfn_cli.scoring.formats.row_format import Record
from nfn_cli.scoring.formats.values import as_utf8


class LineSink:
    """See `RecordSink`. Whatever ends a run leaves whole lines, but for a last one that a resumed run cuts off.

    Args:
        header: the first line of a new file, or nothing.
        line: a record's.
        replace: the first lines replace what is there, which stays until then.
    """

    def __init__(self, path: Path, header: str, line: Callable[[Record], str], *, replace: bool) -> None:
        self._path, self._header, self._line = path, header, line
        self._replace = replace
        self._file: BinaryIO | None = None
        self._end = 0
        if not replace:
            self._open()

    def write(self, records: Sequence[Record]) -> None:
        """See `RecordSink`."""
        if records:
            self._add("".join(map(self._line, records)))

    def close(self) -> None:
        """See `RecordSink`."""
        if self._replace:
            self._add("")
        if self._file is not None:
            self._file.close()

    def _open(self) -> None:
        try:
            self._file = self._path.open("ab", buffering=0)  # type: ignore[assignment]
        except OSError as error:
            raise DataError(self._path, f"cannot be written ({error.strerror})", "choose another place") from error
        assert self._file is not None
        self._end = self._file.tell()
        if self._end == 0 and self._header:
            self._append(self._header)

    def _add(self, text: str) -> None:
        if not self._replace:
            self._append(text)
            return
        content = as_utf8(self._header + text)
        replaced(self._path, lambda new: _write(new, content))
        self._replace = False
        self._open()

    def _append(self, text: str) -> None:
        assert self._file is not None
        try:
            rest = memoryview(as_utf8(text))
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except BaseException as error:
            # A full disk, or an interrupt, takes part of the lines: cut the file back to whole ones.
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._end)
            if not isinstance(error, OSError):
                raise
            remedy = f"make room, then {AGAIN}"
            raise DataError(self._path, f"cannot be written ({error.strerror})", remedy) from error
        self._end = self._file.tell()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
