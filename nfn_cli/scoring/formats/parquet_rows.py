"""A folder of Parquet files, each written whole (extra `nfn-cli[parquet]`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import compress, islice
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from nfn_cli.errors import DataError
from nfn_cli.folders import make_folder
from nfn_cli.scoring.atomic import AGAIN, replaced
from nfn_cli.scoring.columns import MADE_WITH, made_with_unknown
from nfn_cli.scoring.formats.row_format import Columns, EarlierRecords, Record, RecordSink
from nfn_cli.scoring.formats.values import as_utf8

_PART_ROWS = 4_096
_PART = re.compile(r"part-([0-9]+)\.parquet")


class ParquetRows:
    """See `GrowingFormat`."""

    def require(self, path: Path) -> None:
        """See `GrowingFormat`."""
        _pyarrow(path)
        if os.path.exists(path) and not os.path.isdir(path):
            raise DataError(path, "is not a folder, and Parquet files go to one", "choose another place")

    def sink(self, path: Path, columns: Columns, *, replace: bool) -> RecordSink:
        """See `GrowingFormat`."""
        return _PartSink(path, columns, replace=replace)

    def earlier(self, path: Path, columns: Columns) -> EarlierRecords:
        """See `GrowingFormat`."""
        return _EarlierParts(path, columns)


FORMAT = ParquetRows()


class _PartSink:
    """A folder that records are added to by parts."""

    def __init__(self, path: Path, columns: Columns, *, replace: bool) -> None:
        self._path, self._columns = path, columns
        self._waiting: list[Record] = []
        _pyarrow(path)
        make_folder(path)
        there = _parts_of(path)
        self._old = there if replace else []  # go once the first part is there
        self._next = 0 if replace or not there else _number(there[-1]) + 1

    def write(self, records: Sequence[Record]) -> None:
        """See `RecordSink`."""
        self._waiting += records
        while len(self._waiting) >= _PART_ROWS:
            self._part(self._waiting[:_PART_ROWS])
            self._waiting = self._waiting[_PART_ROWS:]

    def close(self) -> None:
        """See `RecordSink`."""
        if self._waiting or self._next == 0:
            self._part(self._waiting)
            self._waiting = []

    def _part(self, records: Sequence[Record]) -> None:
        old, self._old = self._old, []
        _write_part(self._path / f"part-{self._next:06d}.parquet", records, self._columns, instead_of=old)
        self._next += 1


class _EarlierParts:
    """The parts in a folder."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path, self._columns = path, columns
        self._sizes: dict[Path, int] = {}  # of each part that was read, in rows

    def read(self) -> Iterator[Record]:
        """See `EarlierRecords`."""
        for part in _parts_of(self._path):
            records = _read_part(self._path, part, self._columns)
            self._sizes[part] = len(records)
            yield from records

    def keep(self, stay: Sequence[bool]) -> None:
        """See `EarlierRecords`."""
        answers = iter(stay)
        for part, size in self._sizes.items():
            own = list(islice(answers, size))
            if not all(own):
                records = _read_part(self._path, part, self._columns)
                _write_part(part, list(compress(records, own)), self._columns)


def _pyarrow(path: Path) -> Any:
    """pyarrow itself.

    Raises:
        DataError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(path, "pyarrow is not installed", "pip install 'nfn-cli[parquet]'") from error
    return pyarrow


def _parts_of(path: Path) -> list[Path]:
    """The parts in a folder, in their order."""
    return sorted((file for file in path.glob("part-*.parquet") if _PART.fullmatch(file.name)), key=_number)


def _read_part(path: Path, part: Path, columns: Columns) -> list[Record]:
    """
    Raises:
        DataError: it is damaged, or has other columns.
    """
    with _opened(part) as file:
        table = file.read()
        records = table.to_pylist()
    if set(table.column_names) == set(columns) - {MADE_WITH}:
        raise made_with_unknown(path)
    if set(table.column_names) != set(columns):
        raise DataError(part, "holds other columns than this command writes", "choose another --output")
    return [{name: dict(v) if isinstance(v, list) else v for name, v in found.items()} for found in records]


@contextmanager
def _opened(part: Path) -> Iterator[Any]:
    arrow = _pyarrow(part)
    try:
        with arrow.parquet.ParquetFile(part) as file:
            yield file
    except (OSError, ValueError, arrow.ArrowException) as error:
        cause = f"not a readable Parquet file ({error})"
        raise DataError(part, cause, f"remove it, then {AGAIN}") from error


def _write_part(part: Path, records: Sequence[Record], columns: Columns, instead_of: Sequence[Path] = ()) -> None:
    """Write a part whole or not at all.

    Args:
        instead_of: parts that go once it is written.

    Raises:
        DataError: it cannot be written.
    """
    arrow = _pyarrow(part)
    schema = arrow.schema([(name, _arrow_type(arrow, own)) for name, own in columns.items()])
    table = arrow.Table.from_pylist([_arrow_record(record) for record in records], schema=schema)

    def write(temporary: Path) -> None:
        arrow.parquet.write_table(table, temporary)
        for old in instead_of:
            with suppress(FileNotFoundError):
                old.unlink()

    replaced(part, write, f"make room or choose another place, then {AGAIN}")


def _arrow_type(arrow: Any, type_: Any) -> Any:
    """The type of a column, from that of a row's field; every column may be empty.

    Raises:
        TypeError: there is none.
    """
    if get_origin(type_) in (Union, UnionType):
        (type_,) = (own for own in get_args(type_) if own is not NoneType)
    if get_origin(type_) is Mapping:
        return arrow.map_(*(_arrow_type(arrow, own) for own in get_args(type_)))
    plain = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    if type_ not in plain:
        raise TypeError(f"no column of a Parquet file holds a {type_}")
    return plain[type_]


def _number(part: Path) -> int:
    found = _PART.fullmatch(part.name)
    assert found is not None
    return int(found[1])


def _arrow_record(record: Record) -> Record:
    values = {name: list(value.items()) if isinstance(value, dict) else value for name, value in record.items()}
    return {name: as_utf8(v).decode("utf-8") if isinstance(v, str) else v for name, v in values.items()}
