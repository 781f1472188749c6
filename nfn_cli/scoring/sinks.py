"""Files that rows go to while they are being made, so that whatever ends a run leaves a valid file.

Whoever calls these functions holds the output meanwhile, see `nfn_cli.locks`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nfn_cli.errors import CheckpointError, DataError
from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring.columns import record, types_of
from nfn_cli.scoring.formats import growing_format
from nfn_cli.scoring.formats.row_format import RecordSink
from nfn_cli.scoring.work import Scored


class Sink:
    """Where rows go, see `RecordSink`."""

    def __init__(self, records: RecordSink, made_with: str) -> None:
        self._records, self._made_with = records, made_with

    def write(self, rows: Sequence[Scored[Any]]) -> None:
        """Take rows; when this returns, a stop of the process loses none of those that a resumed run would not make
        again.

        Raises:
            DataError: they cannot be written; what was written before is whole.
        """
        self._records.write([record(row, self._made_with) for row in rows])

    def close(self) -> None:
        """Write what waits, and the file itself if there was no row."""
        self._records.close()


def open_sink(path: Path, format: RowFormat, kind: type, made_with: str, *, replace: bool = False) -> Sink:
    """The file or folder that rows of the dataclass `kind` are added to; it need not exist yet.

    Args:
        format: one that is resumable, see `nfn_cli.row_formats`.
        made_with: what the rows are made with, see `nfn_cli.scoring.made_with`.
        replace: the first rows replace what is there.

    Raises:
        DataError: it cannot be written to, or a package is missing.
    """
    return Sink(growing_format(format).sink(path, types_of(kind), replace=replace), made_with)


def require_output(path: Path, format: RowFormat, *, replace: bool = False) -> None:
    """Check, before long work, that rows can go there.

    Args:
        replace: whether they replace what is there.

    Raises:
        DataError: a package is missing, there is something else at the path, or the user may not write there.
    """
    try:
        growing_format(format).require(path)
    except CheckpointError as error:
        raise DataError(error.subject, error.cause, error.remedy) from error
    there = next(own for own in (path, *path.parents) if os.path.exists(own))
    beside = [path.parent] if replace and os.path.exists(path) else []
    if not all(os.access(own, os.W_OK) for own in (there, *beside)):
        raise DataError(path, "cannot be written (no permission, or a read-only place)", "choose another place")
