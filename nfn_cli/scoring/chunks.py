"""What the local engine reads in one go: some files, or some networks of a packed one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nfn_cli.scoring.amount import bytes_of
from nfn_cli.scoring.reading import MEMBERS_TOGETHER, Source, member_name
from nfn_cli.scoring.work import Work

Chunk = list[Source]

_MOST_FILES = 64
_MOST_BYTES = 1 << 26


def chunks_of(paths: Iterable[str], work: Work[Any]) -> Iterator[Chunk]:
    """Some files at a time, without those that are there already.

    The limits of chunks do not depend on these, and once a stop is asked for, none is cut short: what goes through a
    head together decides the last digits, and a continued run must end with the rows of one that was not interrupted.
    """
    chunk: list[str] = []
    size = 0
    for path in paths:
        if work.settings.stop():
            return
        own = bytes_of(path)
        if chunk and (len(chunk) == _MOST_FILES or size + own > _MOST_BYTES):
            if left := work.left(chunk):
                yield [Source(path) for path in left]
            chunk, size = [], 0
        chunk.append(path)
        size += own
    if not work.settings.stop() and (left := work.left(chunk)):
        yield [Source(path) for path in left]


def members_of(path: str, count: int, work: Work[Any]) -> Iterator[Chunk]:
    """The `count` networks of a packed file, some at a time, without those that are there already."""
    for start in range(0, count, MEMBERS_TOGETHER):
        if work.settings.stop():
            return
        positions = range(start, min(start + MEMBERS_TOGETHER, count))
        left = set(work.left([member_name(path, position) for position in positions]))
        if ranges := ranges_of([position for position in positions if member_name(path, position) in left]):
            yield [Source(path, range_) for range_ in ranges]


def ranges_of(positions: list[int]) -> list[tuple[int, int]]:
    """Whole numbers in ascending order as ranges: networks side by side are read together.

    >>> ranges_of([3, 4, 7])
    [(3, 5), (7, 8)]
    """
    there = set(positions)
    starts = [position for position in positions if position - 1 not in there]
    ends = [position + 1 for position in positions if position + 1 not in there]
    return list(zip(starts, ends, strict=True))
