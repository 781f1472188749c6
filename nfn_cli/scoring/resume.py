"""What a file holds from an earlier run: which of its rows stay, and which inputs need not be scored again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nfn_cli.checkpoints import is_address
from nfn_cli.errors import DataError
from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring.columns import MADE_WITH, OTHERWISE, types_of
from nfn_cli.scoring.formats import growing_format
from nfn_cli.scoring.formats.row_format import Record
from nfn_cli.scoring.formats.values import unescaped
from nfn_cli.scoring.made_with import difference
from nfn_cli.scoring.rows import Stamp

# Of a row's name and its input's stamp, whether the input is still as it was; None where it is gone.
Unchanged = Callable[[str, Stamp], bool | None]


@dataclass(frozen=True)
class Resumed:
    """What a file holds from an earlier run.

    Attributes:
        done: names of the rows that stay.
        failed: how many of them are of networks that could not be scored.
        dropped: rows that were taken out, because their inputs have changed since or could not be read then.
        hashed: whether rows that stay have a hash of their inputs.
    """

    done: frozenset[str] = field(default_factory=frozenset)
    failed: int = 0
    dropped: int = 0
    hashed: bool = False


def resume(
    path: Path, format: RowFormat, kind: type, made_with: str, unchanged: Unchanged, *, hashed: bool = False
) -> Resumed:
    """Take up the rows of an earlier run; those that must be made again are taken out of the file.

    Args:
        made_with: what the rows of this run are made with.
        hashed: contents shall decide whether an input has changed: of rows without a hash nobody knows it, and they
            are made again.

    Raises:
        DataError: the file holds something else, or rows that were made with something else or do not say with what;
            or it cannot be read or written. It is as it was then.
    """
    if not os.path.exists(path):
        return Resumed()
    earlier = growing_format(format).earlier(path, types_of(kind))
    stay: list[bool] = []
    done: set[str] = set()
    failed, has_hashes = 0, False
    for found in earlier.read():
        _require_same(path, found[MADE_WITH], made_with)
        name = _name(found["path"])
        stay.append(_stays(name, found, unchanged, hashed=hashed))
        if stay[-1]:
            done.add(name)
            failed += _has_failed(found)
            has_hashes |= bool(found["hash"])
    earlier.keep(stay)
    return Resumed(frozenset(done), failed, stay.count(False), has_hashes)


def _stays(name: str, found: Record, unchanged: Unchanged, *, hashed: bool) -> bool:
    """Whether a row need not be made again: its input is unchanged, or gone after it was scored."""
    if found["bytes"] in (None, ""):
        return False
    now = unchanged(name, Stamp(int(found["bytes"]), str(found["modified"]), found["hash"] or None))
    if now is None:
        return not _has_failed(found)
    # Packed files of a store are read in parts, and have no hash even where one was asked for.
    has_hash = found["hash"] or (is_address(name) and "#" in name)
    return now and bool(has_hash or not hashed)


def _has_failed(found: Record) -> bool:
    return found["error"] not in (None, "")


def _name(written: str) -> str:
    """A row's name, from how it is written: a name that is no text is written with escapes."""
    name = unescaped(written)
    return name if name != written and os.path.lexists(name) and not os.path.lexists(written) else written


def _require_same(path: Path, found: object, made_with: str) -> None:
    """
    Raises:
        DataError: a row was made with something else than those of this run.
    """
    if found != made_with:
        other = difference(found if isinstance(found, str) else "", made_with)
        raise DataError(path, f"its rows were made with {other}", OTHERWISE)
