"""Files that rows go to while they are being made, and that a stopped run is continued from.

A CSV or JSON Lines file grows by whole lines, which are on the disk before the next ones are made; a Parquet output is
a folder of finished parts. So whatever ends a run leaves a valid file, but for a last line that `resume` cuts off.
Beside a row's own fields stand `bytes`, `modified` and `hash` of its input, by which a later run knows whether it has
changed, and `made_with`, by which it knows whether it would make the same row. They stand in every row, so that they
stay with it in copies and in parts of files, and every reader reads them as columns.

Whoever calls these functions holds the output meanwhile, see `nfn_cli.locks`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Protocol, get_type_hints

from nfn_cli.checkpoints import is_address, require_writable, write_atomically
from nfn_cli.errors import CheckpointError, DataError
from nfn_cli.scoring.formats import as_utf8, csv_lines, json_line, plain_values, unescaped
from nfn_cli.scoring.made_with import difference
from nfn_cli.scoring.parquet import ParquetSink, columns_of_part, parts_of, read_part, require_pyarrow, write_part
from nfn_cli.scoring.rows import Stamp
from nfn_cli.scoring.work import Scored

RESUMABLE = ("csv", "jsonl", "parquet")
_STAMP = tuple(field.name for field in fields(Stamp))
_MADE_WITH = "made_with"
_AGAIN = "repeat the command with --resume"
_OTHERWISE = "repeat what made them, choose another --output, or score all again with --overwrite"

# Of a row's name and its input's stamp, whether the input is still as it was; None where it is gone.
Unchanged = Callable[[str, Stamp], bool | None]


class Sink(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """Take rows; when this returns, a stop of the process loses none of those that a resumed run would not make
        again.

        Raises:
            DataError: they cannot be written; what was written before is whole.
        """

    def close(self) -> None:
        """Write what waits, and the file itself if there was no row."""


@dataclass(frozen=True)
class Resumed:
    """What a file holds from an earlier run.

    Attributes:
        done: names of the rows that stay.
        failed: how many of them are of networks that could not be scored.
        dropped: rows that were taken out, because their inputs have changed since or could not be read then.
        hashed: whether rows that stay tell a hash of their inputs.
    """

    done: frozenset[str] = field(default_factory=frozenset)
    failed: int = 0
    dropped: int = 0
    hashed: bool = False


def columns_of(kind: type) -> list[str]:
    """The columns of a file of rows of a dataclass."""
    return [*(own.name for own in fields(kind)), *_STAMP, _MADE_WITH]


def types_of(kind: type) -> dict[str, Any]:
    """The columns with their types."""
    types = {**get_type_hints(kind), **get_type_hints(Stamp), _MADE_WITH: str}
    return {name: types[name] for name in columns_of(kind)}


def require_output(path: Path, format: str, *, replace: bool = False) -> None:
    """Check, before long work, that rows can go there.

    Args:
        replace: whether they shall replace what is there.

    Raises:
        DataError: a package is missing, there is something else at the path, or the user may not write there.
    """
    try:
        if format == "parquet":
            require_pyarrow(path)
            if os.path.exists(path) and not os.path.isdir(path):
                raise DataError(path, "is not a folder, and Parquet files go to one", "choose another place")
        else:
            require_writable(path, overwrite=True)
    except CheckpointError as error:
        raise DataError(error.subject, error.cause, error.remedy) from error
    there = next(own for own in (path, *path.parents) if os.path.exists(own))
    beside = [path.parent] if replace and os.path.exists(path) else []
    if not all(os.access(own, os.W_OK) for own in (there, *beside)):
        raise DataError(path, "cannot be written (no permission, or a read-only place)", "choose another place")


def open_sink(path: Path, format: str, kind: type, made_with: str, *, replace: bool = False) -> Sink:
    """The file or folder that rows of the dataclass `kind` are added to; it need not exist yet.

    Args:
        made_with: what the rows are made with, see `nfn_cli.scoring.made_with`.
        replace: the first rows replace what is there.

    Raises:
        DataError: it cannot be written to, or a package is missing.
    """
    if format == "parquet":
        return ParquetSink(path, types_of(kind), record, made_with, replace=replace)
    return LineSink(path, format, columns_of(kind), made_with, replace=replace)


def resume(
    path: Path, format: str, kind: type, made_with: str, unchanged: Unchanged, *, hashed: bool = False
) -> Resumed:
    """Take up the rows of an earlier run; those that must be made again are taken out of the file.

    Args:
        made_with: what the rows of this run are made with.
        hashed: contents shall tell whether an input has changed: of rows without a hash nobody knows it, and they are
            made again.

    Raises:
        DataError: the file holds something else, or rows that were made with something else or do not tell with what;
            or it cannot be read or written. It is as it was then.
    """
    if not os.path.exists(path):
        return Resumed()
    kept = _Kept(unchanged, hashed=hashed)
    if format == "parquet":
        return _resume_parquet(path, types_of(kind), made_with, kept)
    return _resume_lines(path, format, columns_of(kind), made_with, kept)


class LineSink:
    """A CSV or JSON Lines file, added to by whole lines."""

    def __init__(
        self, path: Path, format: str, columns: Sequence[str], made_with: str, *, replace: bool = False
    ) -> None:
        self._path, self._format, self._columns = path, format, list(columns)
        self._made_with = made_with
        self._replace = replace
        self._file: BinaryIO | None = None
        self._end = 0
        if not replace:
            self._open()

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Sink`."""
        if rows:
            self._add(_lines([record(row, self._made_with) for row in rows], self._format, self._columns))

    def close(self) -> None:
        """See `Sink`."""
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
        if self._end == 0 and self._format == "csv":
            self._append(csv_lines([], self._columns, header=True))

    def _add(self, text: str) -> None:
        if not self._replace:
            self._append(text)
            return
        # The old file stays until the new one has its first rows.
        header = csv_lines([], self._columns, header=True) if self._format == "csv" else ""
        try:
            write_atomically(self._path, lambda new: _write(new, as_utf8(header + text)), overwrite=True)
        except CheckpointError as error:
            raise DataError(error.subject, error.cause, error.remedy) from error
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
            remedy = f"make room, then {_AGAIN}"
            raise DataError(self._path, f"cannot be written ({error.strerror})", remedy) from error
        self._end = self._file.tell()


def record(scored: Scored[Any], made_with: str) -> dict[str, Any]:
    """A row, its input's stamp and what it was made with, by column."""
    stamp = scored.stamp
    stamped = {name: getattr(stamp, name) if stamp else None for name in _STAMP}
    return plain_values(scored.row) | stamped | {_MADE_WITH: made_with}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _lines(records: Sequence[dict[str, Any]], format: str, columns: Sequence[str]) -> str:
    if format == "csv":
        return csv_lines(records, columns, header=False)
    return "".join(json_line(record) for record in records)


class _Kept:
    """Which rows of an earlier run stay."""

    def __init__(self, unchanged: Unchanged, *, hashed: bool) -> None:
        self._unchanged, self._hashed = unchanged, hashed
        self.tell_hashes = False
        self.done: set[str] = set()
        self.failed = self.dropped = 0

    def stays(self, record: dict[str, Any]) -> bool:
        """Whether a row need not be made again: its input is unchanged, or gone after it was scored."""
        name, failed = _name(record["path"]), record["error"] not in (None, "")
        now: bool | None = False
        if record["bytes"] not in (None, ""):
            now = self._unchanged(name, Stamp(int(record["bytes"]), str(record["modified"]), record["hash"] or None))
            if now and self._hashed and not record["hash"] and not _never_hashed(name):
                now = False
        stays = not failed if now is None else now
        if stays:
            self.done.add(name)
            self.failed += failed
            self.tell_hashes |= bool(record["hash"])
        else:
            self.dropped += 1
        return stays

    def told(self) -> Resumed:
        """The result."""
        return Resumed(frozenset(self.done), self.failed, self.dropped, self.tell_hashes)


def _never_hashed(name: str) -> bool:
    """Whether a row tells no hash even where one was asked for: packed files of a store are read in parts."""
    return is_address(name) and "#" in name


def _name(written: str) -> str:
    """A row's name, from how it is written: a name that is no text is written with escapes."""
    name = unescaped(written)
    return name if name != written and os.path.lexists(name) and not os.path.lexists(written) else written


def _require_same(path: Path, told: object, made_with: str) -> None:
    """
    Raises:
        DataError: a row was made with something else than those of this run.
    """
    if told != made_with:
        other = difference(told if isinstance(told, str) else "", made_with)
        raise DataError(path, f"its rows were made with {other}", _OTHERWISE)


def _untold(path: Path) -> DataError:
    return DataError(path, "does not tell what its rows were made with (an older version wrote it)", _OTHERWISE)


def _resume_lines(path: Path, format: str, columns: Sequence[str], made_with: str, kept: _Kept) -> Resumed:
    stay: list[bool] = []
    edited = _is_edited(path, format, columns)
    end = len(as_utf8(csv_lines([], columns, header=True))) if format == "csv" else 0
    for found, line in _read_lines(path, format, columns):
        _require_same(path, found[_MADE_WITH], made_with)
        stay.append(kept.stays(found))
        end += len(line)
        edited |= line.endswith(b"\r\n")

    def rewrite(temporary: Path) -> None:
        with temporary.open("wb") as file:
            if format == "csv":
                file.write(as_utf8(csv_lines([], columns, header=True)))
            for (found, line), stays in zip(_read_lines(path, format, columns), stay, strict=True):
                if stays:
                    file.write(as_utf8(_lines([found], format, columns)) if edited else line)

    try:
        if kept.dropped or edited:
            write_atomically(path, rewrite, overwrite=True)
        elif not stay:
            os.truncate(path, 0)
        elif os.path.getsize(path) > end:
            os.truncate(path, end)
    except CheckpointError as error:
        raise DataError(error.subject, error.cause, error.remedy) from error
    except OSError as error:
        raise DataError(path, f"cannot be written ({error.strerror})", "check its permissions") from error
    return kept.told()


def _is_edited(path: Path, format: str, columns: Sequence[str]) -> bool:
    """Whether something else, such as a spreadsheet, has written a file anew, in its own way: it begins otherwise."""
    try:
        with path.open("rb") as file:
            begin = file.readline()
    except OSError:
        return False  # reading it tells why
    if format == "csv":
        return begin.endswith(b"\n") and begin != as_utf8(csv_lines([], columns, header=True))
    return begin.startswith(BOM_UTF8)


def _read_lines(path: Path, format: str, columns: Sequence[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every whole row and its bytes; a last line that a kill or a power failure has torn counts for nothing.

    Raises:
        DataError: something else than rows of these columns.
    """
    remedy = "name the file of an earlier run of the same command, or leave out --resume"
    try:
        with path.open("rb") as file:
            if format == "csv":
                expected = as_utf8(csv_lines([], columns, header=True))
                header = _header(file.readline())
                if not header.endswith(b"\n") and expected.startswith(header):
                    return
                if header == as_utf8(csv_lines([], columns[:-1], header=True)):
                    raise _untold(path)
                if header != expected:
                    raise DataError(path, "holds other columns than this command writes", remedy)
            # A quoted name may hold line breaks: a row ends where the quotes do.
            line = b""
            for piece in file:
                line += piece if line else piece.removeprefix(BOM_UTF8)
                if format == "csv" and line.count(b'"') % 2:
                    continue
                if not line.endswith(b"\n"):
                    return
                found = _parsed(line, format, columns)
                if _MADE_WITH not in found:
                    raise _untold(path)
                yield found, line
                line = b""
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", remedy) from error
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise DataError(path, f"holds a line that is no row ({error})", remedy) from error


def _header(line: bytes) -> bytes:
    """The header as this command writes it, where an editor has only marked, quoted or ended it in its own way."""
    try:
        (names,) = csv.reader([line.decode("utf-8-sig")])
    except ValueError:
        return line
    return as_utf8(csv_lines([], names, header=True)) if line.endswith(b"\n") else line


def _parsed(line: bytes, format: str, columns: Sequence[str]) -> dict[str, Any]:
    text = line.decode("utf-8")
    if format == "jsonl":
        found = json.loads(text)
    else:
        (cells,) = csv.reader(io.StringIO(text, newline=""))
        found = dict(zip(columns, cells, strict=True))
    if not isinstance(found, dict) or set(found) | {_MADE_WITH} != set(columns) or not isinstance(found["path"], str):
        raise ValueError("of other columns")
    if found["bytes"] not in (None, ""):
        found["bytes"] = int(found["bytes"])
    return found


def _resume_parquet(path: Path, columns: Mapping[str, Any], made_with: str, kept: _Kept) -> Resumed:
    parts = parts_of(path)
    for part in parts:  # all of them before one is written
        if columns_of_part(part) == set(columns) - {_MADE_WITH}:
            raise _untold(path)
        for found in read_part(part, columns):
            _require_same(path, found[_MADE_WITH], made_with)
    for part in parts:
        records = read_part(part, columns)
        stay = [found for found in records if kept.stays(found)]
        if len(stay) < len(records):
            write_part(part, stay, columns)
    return kept.told()
