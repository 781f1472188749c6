"""A folder of Parquet files, each written whole (extra `nfn-cli[parquet]`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from nfn_cli.checkpoints import write_atomically
from nfn_cli.errors import CheckpointError, DataError
from nfn_cli.folders import make_folder
from nfn_cli.scoring.formats import as_utf8
from nfn_cli.scoring.local import Scored

_PART_ROWS = 4_096
_PART = re.compile(r"part-([0-9]+)\.parquet")


class ParquetSink:
    """A folder that rows are added to by parts.

    Args:
        columns: of every part, with their types.
        record: a row by column; what it was made with is added.
        replace: the first part replaces those that are there.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, Any],
        record: Callable[[Scored[Any], str], dict[str, Any]],
        made_with: str,
        *,
        replace: bool = False,
    ) -> None:
        self._path, self._columns = path, dict(columns)
        self._record, self._made_with = record, made_with
        self._waiting: list[dict[str, Any]] = []
        require_pyarrow(path)
        make_folder(path)
        there = parts_of(path)
        self._old = there if replace else []
        self._next = 0 if replace or not there else _number(there[-1]) + 1

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """See `Sink`."""
        self._waiting += [self._record(row, self._made_with) for row in rows]
        while len(self._waiting) >= _PART_ROWS:
            self._part(self._waiting[:_PART_ROWS])
            self._waiting = self._waiting[_PART_ROWS:]

    def close(self) -> None:
        """See `Sink`."""
        if self._waiting or self._next == 0:
            self._part(self._waiting)
            self._waiting = []

    def _part(self, records: Sequence[dict[str, Any]]) -> None:
        old, self._old = self._old, []
        write_part(self._path / f"part-{self._next:06d}.parquet", records, self._columns, instead_of=old)
        self._next += 1


def require_pyarrow(path: Path) -> Any:
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


def parts_of(path: Path) -> list[Path]:
    """The parts in a folder, in their order."""
    return sorted((file for file in path.glob("part-*.parquet") if _PART.fullmatch(file.name)), key=_number)


def columns_of_part(part: Path) -> set[str]:
    """Names of its columns.

    Raises:
        DataError: it is damaged.
    """
    with _opened(part) as file:
        return set(file.schema_arrow.names)


def read_part(part: Path, columns: Collection[str]) -> list[dict[str, Any]]:
    """Rows by column.

    Raises:
        DataError: it is damaged, or has other columns.
    """
    with _opened(part) as file:
        table = file.read()
        records = table.to_pylist()
    if set(table.column_names) != set(columns):
        raise DataError(part, "holds other columns than this command writes", "choose another --output")
    return [{name: dict(v) if isinstance(v, list) else v for name, v in found.items()} for found in records]


@contextmanager
def _opened(part: Path) -> Iterator[Any]:
    arrow = require_pyarrow(part)
    try:
        with arrow.parquet.ParquetFile(part) as file:
            yield file
    except (OSError, ValueError, arrow.ArrowException) as error:
        cause = f"not a readable Parquet file ({error})"
        raise DataError(part, cause, "remove it, then repeat the command with --resume") from error


def write_part(
    part: Path, records: Sequence[dict[str, Any]], columns: Mapping[str, Any], instead_of: Sequence[Path] = ()
) -> None:
    """Write a part whole or not at all.

    Args:
        columns: their types, by name, as annotations of a dataclass give them.
        instead_of: parts that go once it is written.

    Raises:
        DataError: it cannot be written.
    """
    arrow = require_pyarrow(part)
    schema = arrow.schema([(name, _arrow_type(arrow, own)) for name, own in columns.items()])
    table = arrow.Table.from_pylist([_arrow_record(record) for record in records], schema=schema)

    def write(temporary: Path) -> None:
        arrow.parquet.write_table(table, temporary)
        for old in instead_of:
            with suppress(FileNotFoundError):
                old.unlink()

    try:
        write_atomically(part, write, overwrite=True)
    except CheckpointError as error:
        remedy = "make room or choose another place, then repeat the command with --resume"
        raise DataError(error.subject, error.cause, remedy) from error


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


def _arrow_record(record: dict[str, Any]) -> dict[str, Any]:
    values = {name: list(value.items()) if isinstance(value, dict) else value for name, value in record.items()}
    return {name: as_utf8(v).decode("utf-8") if isinstance(v, str) else v for name, v in values.items()}
