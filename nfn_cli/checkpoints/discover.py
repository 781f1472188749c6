"""Find the checkpoints that a user means by files and folders. No torch here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nfn_cli.checkpoints.companions import is_companion
from nfn_cli.checkpoints.formats.registry import SUFFIXES
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.replacement import JOURNAL, settle
from nfn_cli.checkpoints.shard_index import INDEX_SUFFIX, is_index, shards_of
from nfn_cli.errors import CheckpointError


def find_checkpoints(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand folders into the checkpoints below them, in natural order; files stay as they are given.

    A folder is walked with its subfolders, hidden ones left out, every real folder once (a loop of links ends). A
    sharded checkpoint is its index; its shards do not count, and neither do a checkpoint's companions, such as
    `optimizer.pt`. A path that does not exist, or a folder that cannot be opened, is kept, so that it is reported in
    place.

    Raises:
        CheckpointError: a folder without a checkpoint, or an empty name.
    """
    found: list[Path] = []
    for given in paths:
        if not os.fspath(given):  # pathlib would take it for the current folder
            raise CheckpointError("''", "is empty and names no file", "give a path")
        path = Path(given)
        below = list(walk_checkpoints(path)) if os.path.isdir(path) else [path]
        if not below:
            raise no_checkpoint(path)
        found += below
    return found


def only_checkpoint(folder: Path) -> Path:
    """The one checkpoint of a folder, not of its subfolders; an index counts for all its shards, companions do not.

    Raises:
        CheckpointError: none or several, or the folder cannot be opened.
    """
    try:
        found = [entry for entry in _checkpoints_in(folder) if os.path.isfile(entry)]
        companion = None if found else _companion_in(os.listdir(folder))
    except OSError as error:
        raise CheckpointError(folder, f"cannot be read ({error.strerror})", "check its permissions") from error
    if len(found) == 1:
        return found[0]
    if not found:
        raise _nothing_in(folder, companion)
    names = ", ".join(file.name for file in found[:5]) + (", ..." if len(found) > 5 else "")
    raise CheckpointError(folder, f"several checkpoints in this folder ({names})", "name the one you mean")


def no_checkpoint(folder: str | os.PathLike[str]) -> CheckpointError:
    """The refusal of a folder below which there is no checkpoint; it names a companion that is there."""
    for _, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if (companion := _companion_in(names)) is not None:
            return _nothing_in(folder, companion)
    return _nothing_in(folder, None)


def _companion_in(names: list[str]) -> str | None:
    return min(filter(is_companion, names), default=None)


def _nothing_in(folder: str | os.PathLike[str], companion: str | None) -> CheckpointError:
    if companion is None:
        remedy = f"looked for {', '.join(SUFFIXES)} and *{INDEX_SUFFIX}"
        return CheckpointError(folder, "no checkpoint in this folder", remedy)
    cause = f"no checkpoint in this folder ({printable(companion)} is a companion of one)"
    return CheckpointError(folder, cause, "name the file if it is a network all the same")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key under which `conv2` comes before `conv10`."""
    # A number is compared by its length, then its digits: int() refuses more than a few thousand of them.
    pieces = re.split(r"([0-9]+)", name)
    numbers = [piece.lstrip("0") if i % 2 else "" for i, piece in enumerate(pieces)]
    return [
        (0, len(number), number) if i % 2 else (1, 0, piece)
        for i, (piece, number) in enumerate(zip(pieces, numbers, strict=True))
        if piece
    ]


def walk_checkpoints(folder: Path) -> Iterator[Path]:
    """The checkpoints below a folder, as `find_checkpoints` gives them, one folder's listing in memory at a time."""
    seen: set[tuple[int, int]] = set()
    # An index may list files in subfolders, which are walked after it.
    shards: set[Path] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not os.path.isdir(path):
            yield path
            continue
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                waiting += reversed(_checkpoints_in(path, shards, folders=True))
        except (OSError, CheckpointError):  # opening it will say why
            yield path


def _checkpoints_in(folder: Path, above: set[Path] | None = None, *, folders: bool = False) -> list[Path]:
    """What is called like a checkpoint, and the folders too if asked for.

    Args:
        above: shards in subfolders, known from the folders above; those of this folder's indices are added.

    Raises:
        CheckpointError: a checkpoint in it is being replaced, or was, and that cannot be finished.
    """
    names = os.listdir(folder)
    if JOURNAL in names:
        settle(folder)
        names = os.listdir(folder)
    # Names of equal key, such as a1 and a01, need an order too: the system lists them in any.
    names.sort(key=lambda name: (natural_key(name), name))
    entries = [folder / name for name in names if not name.startswith(".")]
    listed = shards_of(entries)
    above = set() if above is None else above
    above.update(shard for shard in listed if shard.parent != folder)

    def counts(entry: Path) -> bool:
        if os.path.isdir(entry):
            return folders
        if is_index(entry):
            return True
        called = entry.suffix.lower() in SUFFIXES and not is_companion(entry.name)
        return called and entry not in listed and entry not in above

    return [entry for entry in entries if counts(entry)]
