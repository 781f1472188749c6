"""The local engine: files are read ahead and scored on one machine, in bounded memory, one row a network.

Little work is done in this process, with the threads that each chunk is worth. Much is done by processes of one thread
(see `pooled`), which are started once the first chunks have shown that the rest pays for them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Generic, Protocol

from nfn_cli.checkpoints import is_address
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.amount import Ahead, bytes_of, jobs_for, most_jobs, work_of
from nfn_cli.scoring.chunks import Chunk, chunks_of, members_of
from nfn_cli.scoring.pooled import pool_of, scores_in_processes
from nfn_cli.scoring.predicting import ScoredChunk
from nfn_cli.scoring.reading import ReadChunk, read_chunk
from nfn_cli.scoring.work import EngineSettings, Scored, Tally, Work
from nfn_cli.threads import LARGE, numbers_in, threads_for


class Workers(Protocol[Row]):
    """Whoever reads chunks and puts them through the heads."""

    def scored(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, ScoredChunk[Row]]]:
        """Each chunk with its rows, in order, or, where that is asked for, as they are finished."""

    def finish(self) -> None:
        """All is done."""

    def end(self) -> None:
        """Leave at once what is under way."""


def run(
    task: RowTask[Row], paths: Iterable[str], settings: EngineSettings, tally: Tally
) -> Generator[list[Scored[Row]], None, None]:
    """Score files, some rows at a time. Closing the generator ends what is under way.

    Raises:
        HeadError: there is no such head; comes before the first row.
    """
    return _run(Work.of(task, settings, tally), paths)


def _run(work: Work[Row], paths: Iterable[str]) -> Generator[list[Scored[Row]], None, None]:
    workers: Workers[Row]
    if work.settings.jobs:
        workers = pool_of(work, work.settings.jobs)
    else:
        ahead = Ahead(paths, work.settings.done) if work.settings.jobs is None else None
        paths = paths if ahead is None else ahead
        workers = _Here(work, ahead)
    try:
        for chunk, scored in workers.scored(chunks_of(paths, work)):
            yield from _rows(work, workers, chunk, scored)
    except BaseException:
        workers.end()
        raise
    workers.finish()


def _rows(
    work: Work[Row], workers: Workers[Row], chunk: Chunk, scored: ScoredChunk[Row]
) -> Iterator[list[Scored[Row]]]:
    """The rows of a chunk, and in their places those of the networks in its packed files."""
    work.tally.assumed += scored.assumed
    start = place = 0
    for number, source in enumerate(chunk):
        if number not in scored.packed:
            place += len(source.names)
            continue
        if place > start:
            yield work.rows(scored, start, place)
        start = place
        for _, members in workers.scored(members_of(source.path, scored.packed[number], work)):
            work.tally.assumed += members.assumed
            yield work.rows(members)
    if len(scored.rows) > start:
        yield work.rows(scored, start)


class _Here(Generic[Row]):
    """This process, until what is left is enough for several: how long it takes is known from the first chunks.

    What a chunk costs depends on the head and the networks too much to be guessed. Processor time is what counts, so
    that a busy machine decides as an idle one does; where files come over a network, they are waited for as well.

    Args:
        ahead: the files that are left; None where this process shall do all.
    """

    def __init__(self, work: Work[Row], ahead: Ahead | None) -> None:
        self._work: Work[Row] = work
        self._ahead = ahead
        self._on_gpu = not scores_in_processes(work.settings.device)
        self._seconds, self._done = 0.0, 0.0  # taken, and bytes done in it
        self._each: dict[str, float] = {}  # bytes of a packed file's network
        self._large = False
        self._pool: Workers[Row] | None = None

    def scored(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, ScoredChunk[Row]]]:
        """See `Workers`."""
        chunks = iter(chunks)
        for chunk in chunks:
            if self._pool is None and (jobs := self._jobs()):
                self._pool = pool_of(self._work, jobs)
            if self._pool is not None:
                yield from self._pool.scored(chain([chunk], chunks))
                return
            yield chunk, self._scored_here(chunk)

    def finish(self) -> None:
        """See `Workers`."""
        if self._pool is not None:
            self._pool.finish()

    def end(self) -> None:
        """See `Workers`."""
        if self._pool is not None:
            self._pool.end()

    def _jobs(self) -> int:
        # A large network has all threads here; processes have one each, and would hold several such networks at once.
        if self._ahead is None or not self._done or (self._large and not self._on_gpu):
            return 0
        left = max(0.0, self._ahead.bytes - self._done) * self._seconds / self._done
        if self._ahead.endless:
            left += self._seconds  # as much again as there has been, at least
        return jobs_for(left, endless=self._ahead.endless, most=most_jobs(), on_gpu=self._on_gpu)

    def _scored_here(self, chunk: Chunk) -> ScoredChunk[Row]:
        clock = time.perf_counter if any(is_address(source.path) for source in chunk) else time.process_time
        started = clock()
        read = _read(chunk, self._work)
        after = clock()
        scored = self._work.predictor.rows(read)
        self._seconds += (after if self._on_gpu else clock()) - started
        for number, source in enumerate(chunk):
            if source.members is not None:
                self._done += self._each.get(source.path, 0.0) * len(source.names)
            elif number in scored.packed:
                self._each[source.path] = work_of(source.path) / scored.packed[number]
            else:
                self._done += work_of(source.path)
                self._large |= numbers_in(source.path) >= LARGE
        return scored


def _read(chunk: Chunk, work: Work[Row]) -> ReadChunk:
    # About how many numbers the largest file holds; of packed ones only parts of bounded size are read.
    numbers = max((bytes_of(source.path) for source in chunk if source.members is None), default=0) // 4
    with threads_for(numbers):
        return read_chunk(chunk, work.reading)
