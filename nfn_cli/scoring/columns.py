"""The columns of a file of rows, which are the fields of the rows' dataclass and what a later run must know of each.

Beside a row's own fields stand `bytes`, `modified` and `hash` of its input, by which a later run knows whether it has
changed, and `made_with`, by which it knows whether it would make the same row. They stand in every row, so that they
stay with it in copies and in parts of files, and every reader reads them as columns.

>>> from nfn_cli.nn.tasks import ScoreRow
>>> columns_of(ScoreRow)[-6:]
['error', 'distance', 'bytes', 'modified', 'hash', 'made_with']
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from nfn_cli.errors import DataError
from nfn_cli.scoring.formats.values import plain_values
from nfn_cli.scoring.rows import Stamp
from nfn_cli.scoring.work import Scored

MADE_WITH = "made_with"
OTHERWISE = "repeat what made them, choose another --output, or score all again with --overwrite"
_STAMP = tuple(field.name for field in fields(Stamp))


def columns_of(kind: type) -> list[str]:
    """The columns of a file of rows of a dataclass."""
    return [*(own.name for own in fields(kind)), *_STAMP, MADE_WITH]


def types_of(kind: type) -> dict[str, Any]:
    """The columns with their types."""
    types = {**get_type_hints(kind), **get_type_hints(Stamp), MADE_WITH: str}
    return {name: types[name] for name in columns_of(kind)}


def record(scored: Scored[Any], made_with: str) -> dict[str, Any]:
    """A row, its input's stamp and what it was made with, by column."""
    stamp = scored.stamp
    stamped = {name: getattr(stamp, name) if stamp else None for name in _STAMP}
    return plain_values(scored.row) | stamped | {MADE_WITH: made_with}


def made_with_unknown(path: Path) -> DataError:
    """The error of a file without that column."""
    return DataError(path, "does not tell what its rows were made with (an older version wrote it)", OTHERWISE)
