"""Find the checkpoints that a user means by files and folders. No torch here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nfn_cli.errors import CheckpointError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_INDEX_SUFFIX = ".index.json"


def find_checkpoints(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand folders into the checkpoints below them, in natural order; files stay as they are given.

    A folder is walked with its subfolders, hidden ones left out, every real folder once (a loop of links ends). A
    sharded checkpoint is its index; its shards do not count. A path that does not exist is kept, so that it is reported
    in place.

    Raises:
        CheckpointError: a folder without a checkpoint.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if not path.is_dir():
            found.append(path)
            continue
        below = list(_walk(path, set()))
        if not below:
            raise CheckpointError(
                path, "no checkpoint in this folder", f"looked for {', '.join(SUFFIXES)} and *{_INDEX_SUFFIX}"
            )
        found += below
    return found


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key under which `conv2` comes before `conv10`."""
    pieces = re.split(r"(\d+)", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece]


def is_index(path: Path) -> bool:
    """Whether a file is called like the index of a sharded checkpoint."""
    return path.name.endswith(_INDEX_SUFFIX)


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise CheckpointError(folder, f"cannot be read ({error.strerror})", "check its permissions") from error
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    shards = {name for entry in visible if is_index(entry) for name in _shards_of(entry)}
    for entry in visible:
        if entry.is_dir():
            yield from _walk(entry, seen)
        elif is_index(entry) or (entry.suffix in SUFFIXES and entry.name not in shards):
            yield entry


def _shards_of(index: Path) -> set[str]:
    # A damaged index hides nothing; reading it as a checkpoint will say what is wrong with it.
    try:
        return set(map(str, json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
