"""From what a user names to the files to score: files, folders, globs, lists, and addresses of object stores.

Nothing is opened here but where networks are counted (a limit), and folders are walked as they are needed, so that a
listing of any length costs no memory.
"""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from nfn_cli.checkpoints import (
    SUFFIXES,
    is_address,
    list_address,
    natural_key,
    no_checkpoint,
    population_of,
    walk_checkpoints,
)
from nfn_cli.errors import CheckpointError, DataError, UsageError

_STDIN = "-"
_MAGIC = re.compile(r"[*?\[]")
_BLOCK = 1 << 16  # bytes; more than the longest path


@dataclass(frozen=True)
class Inputs:
    """What to score.

    Attributes:
        paths: files, folders, globs that the shell has left alone, addresses with a scheme (`s3://bucket/zoo`), or
            `-` for a list on stdin.
        list_file: a file with one path a line, or with paths that end in NUL.
        include, exclude: patterns; a checkpoint counts if its path, or its name, matches one of the first (if there
            are any) and none of the second. Files that are named one by one always count.
        limit: score so many networks, the first ones.
    """

    paths: Sequence[str] = ()
    list_file: Path | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    limit: int | None = None


def found(inputs: Inputs, cut: dict[str, int] | None = None) -> Iterator[str]:
    """The checkpoints, in natural order within a folder; a file that is named twice is scored twice.

    A path that does not exist is kept, so that it is reported in its place.

    Args:
        cut: takes the packed file that holds more networks than the limit leaves, and how many it leaves.

    Raises (some at once, some at the first item):
        UsageError: nothing was named.
        CheckpointError: a folder, a glob or an address without a checkpoint, or an empty name.
        DataError: the list cannot be read.
    """
    if not inputs.paths and inputs.list_file is None:
        raise UsageError("PATH", "no checkpoint is named", "give files or folders, - or --from-file")
    return _found(inputs) if inputs.limit is None else _first(_found(inputs), inputs.limit, {} if cut is None else cut)


def _first(paths: Iterator[str], limit: int, cut: dict[str, int]) -> Iterator[str]:
    """The files that hold the first so many networks."""
    before: set[str] = set()
    while limit > 0 and (path := next(paths, None)) is not None:
        count = _networks_in(path)
        if count > limit and path not in before:
            cut[path] = limit
        before.add(path)
        limit -= count
        yield path


def _networks_in(path: str) -> int:
    """Of a file that cannot be read one, which its row counts for."""
    try:
        return population_of(path) or 1
    except CheckpointError:
        return 1


def _found(inputs: Inputs) -> Iterator[str]:
    for path in _named(inputs):
        if is_address(path):
            yield from _at_address(path, inputs)
        elif os.path.isdir(path):
            yield from _kept(_walked(path), inputs, path)
        elif not os.path.exists(path) and _MAGIC.search(path):
            yield from _globbed(path, inputs)
        else:
            yield path


def _named(inputs: Inputs) -> Iterator[str]:
    for path in inputs.paths:
        if path == _STDIN:
            yield from _listed(sys.stdin.buffer, "-")
        elif not path:
            raise CheckpointError("''", "is empty and names no file", "give a path")
        else:
            yield path
    if inputs.list_file is not None:
        try:
            with inputs.list_file.open("rb") as file:
                yield from _listed(file, str(inputs.list_file))
        except OSError as error:
            raise DataError(inputs.list_file, f"cannot be read ({error.strerror})", "give a list of paths") from error


def _listed(file: BinaryIO, name: str) -> Iterator[str]:
    """Paths of a list, as they are needed: ended by NUL if there is one at its beginning, else by line breaks. Empty
    ones count for nothing."""
    content = file.read(_BLOCK)
    end = b"\0" if b"\0" in content else b"\n"
    some = False
    while content:
        *parts, rest = content.split(end)
        block = file.read(_BLOCK)
        if not block:
            parts.append(rest)
        for part in parts:
            if path := part if end == b"\0" else part.rstrip(b"\r"):
                some = True
                yield os.fsdecode(path)
        content = rest + block if block else b""
    if not some:
        raise DataError(name, "lists no path", "give one path a line")


def _at_address(address: str, inputs: Inputs) -> Iterator[str]:
    listed = list_address(address)
    first = next(listed, None)
    if first == address:
        yield address  # a file
        return
    yield from _kept(chain([] if first is None else [first], listed), inputs, address)


def _globbed(pattern: str, inputs: Inputs) -> Iterator[str]:
    if "**" in pattern.split("/"):
        matches = _below(pattern)
    else:
        matches = sorted(glob.glob(pattern), key=lambda name: (natural_key(name), name))
    if not matches:
        raise CheckpointError(pattern, "no file matches", "check the pattern, or name files or folders")
    for match in matches:
        yield from _kept(_walked(match) if os.path.isdir(match) else [match], inputs, match, empty=True)


def _walked(folder: str) -> Iterator[str]:
    """The checkpoints below a folder; those below `.` begin with `./`, so that no name looks like an option."""
    here = folder == "." or folder.startswith("./")
    for path in walk_checkpoints(Path(folder)):
        yield f"./{path}" if here else str(path)


def _below(pattern: str) -> list[str]:
    """The checkpoints that a pattern with `**` means, each once: Python's own search follows every loop of links."""
    parts = pattern.split("/")
    fixed = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    folder = "/".join(parts[:fixed]) or ("/" if fixed else ".")
    paths = map(str, walk_checkpoints(Path(folder))) if os.path.isdir(folder) else ()
    return [path for path in paths if _fits(os.path.relpath(path, folder).split(os.sep), parts[fixed:])]


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path fit those of a pattern; `**` is any number of folders, or, at the end, anything."""
    if not pattern:
        return not names
    if pattern[0] != "**":
        return bool(names) and fnmatch(names[0], pattern[0]) and _fits(names[1:], pattern[1:])
    if len(pattern) == 1:
        return bool(names)
    return any(_fits(names[start:], pattern[1:]) for start in range(len(names)))


def _kept(paths: Iterable[str], inputs: Inputs, folder: str, *, empty: bool = False) -> Iterator[str]:
    """Those that the patterns leave.

    Raises:
        CheckpointError: none is left, unless that may be.
    """
    some = seen = False
    for path in paths:
        seen = True
        if _matches(path, inputs):
            some = True
            yield path
    if not some and not empty:
        if seen:
            raise CheckpointError(folder, "the patterns leave no checkpoint of this folder", "see --include, --exclude")
        if is_address(folder):
            raise CheckpointError(folder, "no checkpoint in this folder", f"looked for {', '.join(SUFFIXES)}")
        raise no_checkpoint(folder)


def _matches(path: str, inputs: Inputs) -> bool:
    def any_of(patterns: Sequence[str]) -> bool:
        name = path.rpartition("/")[2]
        plain = path.removeprefix("./")
        return any(fnmatch(plain, pattern.removeprefix("./")) or fnmatch(name, pattern) for pattern in patterns)

    return (not inputs.include or any_of(inputs.include)) and not any_of(inputs.exclude)
