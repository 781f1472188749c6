"""Chunks through processes of one thread each; the rows come in order, or as they are finished.

On a CPU the processes read their chunks and put them through the heads as well. With a GPU they only read, and batches
of many chunks go through the heads here: one GPU serves one process best.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nfn_cli.errors import CheckpointError, NfnError
from nfn_cli.nn.tasks import Row
from nfn_cli.scoring.any_network import AnyGroup
from nfn_cli.scoring.chunks import Chunk
from nfn_cli.scoring.machine import MORE_MEMORY
from nfn_cli.scoring.predicting import Predictor, ScoredChunk
from nfn_cli.scoring.reading import Group, ReadChunk, ReadSettings, Source, read_chunk
from nfn_cli.scoring.rows import Stamp
from nfn_cli.scoring.work import Work
from nfn_cli.scoring.worker_group import Given, KilledError, WorkerGroup, first_finished

# Chunks that wait for a process, for each process; they keep it busy and bound the memory.
_AHEAD = 2

# What processes send back of a chunk: its networks, or its rows.
Result = TypeVar("Result", ReadChunk, ScoredChunk[Any])


def scores_in_processes(device: str) -> bool:
    """Whether the processes put networks through the heads as well."""
    return device == "cpu"


class _Pool(Generic[Row, Result]):
    """What both kinds of pools do alike."""

    def __init__(self, work: Work[Row], jobs: int, group: WorkerGroup[Any, Chunk, Result]) -> None:
        self._work: Work[Row] = work
        self._most_waiting = jobs * (1 + _AHEAD)
        self._group: WorkerGroup[Any, Chunk, Result] = group

    def finish(self) -> None:
        """Let the processes go once they have nothing to do."""
        self._group.finish()

    def end(self) -> None:
        """End the processes at once."""
        self._group.end()

    def scored(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, ScoredChunk[Row]]]:
        """Each chunk with its rows; the processes stay."""
        chunks = iter(chunks)
        waiting: deque[Given[Chunk, Result]] = deque()
        while True:
            while len(waiting) < self._most_waiting and (chunk := next(chunks, None)) is not None:
                waiting.append(self._group.submit(chunk))
            if not waiting:
                return
            if not self._work.settings.ordered:
                front = first_finished(list(waiting))
                waiting.remove(front)
                waiting.appendleft(front)
            yield from self._next(waiting)

    def _next(self, waiting: deque[Given[Chunk, Result]]) -> Iterable[tuple[Chunk, ScoredChunk[Row]]]:
        """Take at least the first of the chunks that wait."""
        raise NotImplementedError

    def _result(self, given: Given[Chunk, Result]) -> Result:
        try:
            return self._group.result(given)
        except KilledError:
            # One by one: the file that kills a process fails alone.
            return self._joined([self._alone(source) for source in given.job])

    def _alone(self, source: Source) -> Result:
        try:
            return self._group.alone([source])
        except KilledError:
            cause = "the process that read it was killed, perhaps because memory ran out"
            error = CheckpointError(source.path, cause, MORE_MEMORY)
            names = source.names
            return self._failed(ReadChunk(names, [None] * len(names), [], dict.fromkeys(range(len(names)), error), {}))

    def _failed(self, chunk: ReadChunk) -> Result:
        """The result of a chunk without networks."""
        raise NotImplementedError

    def _joined(self, parts: Sequence[Result]) -> Result:
        """Results of single sources as one chunk's."""
        raise NotImplementedError


class ScoringPool(_Pool[Row, ScoredChunk[Any]]):
    """Processes that read and score."""

    def _next(self, waiting: deque[Given[Chunk, ScoredChunk[Any]]]) -> Iterable[tuple[Chunk, ScoredChunk[Row]]]:
        given = waiting.popleft()
        return [(given.job, self._result(given))]

    def _failed(self, chunk: ReadChunk) -> ScoredChunk[Any]:
        return self._work.predictor.rows(chunk)

    def _joined(self, parts: Sequence[ScoredChunk[Any]]) -> ScoredChunk[Any]:
        rows = [row for part in parts for row in part.rows]
        stamps = [stamp for part in parts for stamp in part.stamps]
        assumed: Counter[tuple[str, str]] = sum((part.assumed for part in parts), Counter())
        return ScoredChunk(rows, stamps, assumed, _packed(part.packed for part in parts))


class ReadingPool(_Pool[Row, ReadChunk]):
    """Processes that only read. They do not get the head: its tensors may be on a GPU that only this process is to
    use."""

    def _next(self, waiting: deque[Given[Chunk, ReadChunk]]) -> Iterable[tuple[Chunk, ScoredChunk[Row]]]:
        # The first is waited for; what else has been read by now shares its batch.
        given = [waiting.popleft()]
        results = [self._result(given[0])]
        networks = len(results[0].names)
        while waiting and networks < self._work.settings.batch_size and waiting[0].future.done():
            given.append(waiting.popleft())
            results.append(self._result(given[-1]))
            networks += len(results[-1].names)
        chunks = [own.job for own in given]
        return list(zip(chunks, self._work.predictor.rows_of(results), strict=True))

    def _failed(self, chunk: ReadChunk) -> ReadChunk:
        return chunk

    def _joined(self, parts: Sequence[ReadChunk]) -> ReadChunk:
        names: list[str] = []
        stamps: list[Stamp | None] = []
        groups: list[Group | AnyGroup] = []
        failures: dict[int, NfnError] = {}
        for part in parts:
            groups += [group.moved(len(names)) for group in part.groups]
            failures |= {position + len(names): error for position, error in part.failures.items()}
            names += part.names
            stamps += part.stamps
        return ReadChunk(names, stamps, groups, failures, _packed(part.packed for part in parts))


def _packed(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    return {number: part[0] for number, part in enumerate(parts) if part}


def pool_of(work: Work[Row], jobs: int) -> ScoringPool[Row] | ReadingPool[Row]:
    """So many processes for this work."""
    if scores_in_processes(work.settings.device):
        return ScoringPool(work, jobs, WorkerGroup(_score, _Shared(work.load, work.reading), jobs))
    return ReadingPool(work, jobs, WorkerGroup(_read, work.reading, jobs))


@dataclass(frozen=True)
class _Shared:
    """What a process must know that scores."""

    load: Callable[[], Predictor[Any]]
    reading: ReadSettings


_predictor: list[Predictor[Any]] = []


def _score(shared: _Shared, chunk: Chunk, on_steps: Callable[[int], None]) -> ScoredChunk[Any]:
    if not _predictor:
        _predictor.append(shared.load())
    return _predictor[0].rows(read_chunk(chunk, shared.reading))


def _read(reading: ReadSettings, chunk: Chunk, on_steps: Callable[[int], None]) -> ReadChunk:
    return read_chunk(chunk, reading)
