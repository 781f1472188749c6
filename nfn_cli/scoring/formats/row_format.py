"""What a format of rows can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

# A row of a file, by column.
Record = dict[str, Any]
# Columns with their types, as annotations of a dataclass give them.
Columns = Mapping[str, Any]


class TextFormat(Protocol):
    """Rows as text."""

    def text(self, rows: Sequence[Any], columns: Sequence[str], *, first: bool) -> str:
        """Rows, which are instances of one dataclass; the first ones with what stands before them, such as a header."""

    def end(self, *, empty: bool) -> str:
        """What stands behind the last row; `empty` where there was none."""


class RecordSink(Protocol):
    """A file, or a folder, that records are added to."""

    def write(self, records: Sequence[Record]) -> None:
        """Take records; when this returns, a stop of the process loses none of those that a resumed run would not make
        again.

        Raises:
            DataError: they cannot be written; what was written before is whole.
        """

    def close(self) -> None:
        """Write what waits, and the file itself if there was no record."""


class EarlierRecords(Protocol):
    """What an earlier run has written to a path."""

    def read(self) -> Iterator[Record]:
        """All records, in order; nothing is changed.

        Raises:
            DataError: something else is there, or it cannot be read.
        """

    def keep(self, stay: Sequence[bool]) -> None:
        """Take out the records that do not stay (one answer a record, in order), and mend what a kill has left.

        Raises:
            DataError: it cannot be written; it is as it was then.
        """


class GrowingFormat(Protocol):
    """Files, or folders, that hold every row as soon as it is made, and can be continued."""

    def require(self, path: Path) -> None:
        """Check, before long work, that the format can be written there.

        Raises:
            DataError, CheckpointError: a package is missing, or there is something else at the path.
        """

    def sink(self, path: Path, columns: Columns, *, replace: bool) -> RecordSink:
        """What records are added to; it need not exist yet.

        Args:
            replace: the first records replace what is there.

        Raises:
            DataError: it cannot be written to.
        """

    def earlier(self, path: Path, columns: Columns) -> EarlierRecords:
        """What is there."""
