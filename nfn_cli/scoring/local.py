"""The local engine: files are read ahead and scored on one machine, in bounded memory, one row a network.

Little work is done in this process, with the threads that each chunk is worth. Much is done by processes of one thread:
on a CPU they read their chunks and put them through the heads as well; with a GPU they only read, and batches of many
chunks go through the heads here.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Generic

from nfn_cli.checkpoints import is_address
from nfn_cli.errors import CheckpointError, NfnError
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.amount import Ahead, bytes_of, jobs_for, most_jobs, work_of
from nfn_cli.scoring.crew import Crew, Given, KilledError, first_finished
from nfn_cli.scoring.machine import MORE_MEMORY, memory
from nfn_cli.scoring.predicting import Predictor, ScoredChunk
from nfn_cli.scoring.reading import MEMBERS_TOGETHER, Group, ReadChunk, ReadSettings, Source, member_name, read_chunk
from nfn_cli.scoring.rows import Stamp
from nfn_cli.threads import LARGE, numbers_in, threads_for

# A chunk: what is read, and on a CPU scored, in one go.
_MOST_FILES = 64
_MOST_BYTES = 1 << 26
# Chunks that wait for a process, for each process; they keep it busy and bound the memory.
_AHEAD = 2


@dataclass(frozen=True)
class EngineSettings:
    """How to score.

    Attributes:
        head: a head's name or folder, or a loaded one; None takes, for each network, the shipped one that fits.
        device: cpu, cuda or mps.
        activation: of all networks, over what their files say.
        jobs: processes; 0 works in this one, None decides by the work there is.
        ordered: rows in the order of the inputs, else as they are finished.
        batch_size: networks that go through a head at once, at most.
        dtype: arithmetic of the heads, "float32" or "bfloat16".
        hashed: stamp files with a hash of their contents.
        done: names of rows that are there already; their inputs are passed over.
        stop: asked now and then; once it says so, no more files are begun.
        cut: of packed files, how many networks count, see `found`.
    """

    head: Any = None
    device: str = "cpu"
    activation: str | None = None
    jobs: int | None = None
    ordered: bool = True
    batch_size: int = 512
    dtype: str = "float32"
    hashed: bool = False
    done: Collection[str] = ()
    stop: Callable[[], bool] = lambda: False
    cut: Mapping[str, int] = field(default_factory=dict)

    def changed(self, **values: Any) -> EngineSettings:
        """The same settings but for these."""
        return replace(self, **values)


@dataclass(frozen=True)
class Scored(Generic[Row]):
    """A row, and what tells whether its file has changed since."""

    row: Row
    stamp: Stamp | None


@dataclass
class Tally:
    """What an engine tells besides rows, as it goes.

    Attributes:
        skipped: inputs that were there already.
        assumed: networks of which something was assumed (what, for which head).
    """

    skipped: int = 0
    assumed: Counter[tuple[str, str]] = field(default_factory=Counter)


def run(
    task: RowTask[Row], paths: Iterable[str], settings: EngineSettings, tally: Tally
) -> Generator[list[Scored[Row]], None, None]:
    """Score files, some rows at a time. Closing the generator ends what is under way.

    Raises:
        HeadError: there is no such head; comes before the first row.
    """
    predictor = Predictor(task, settings.head, settings.device, settings.dtype, settings.batch_size)
    reading = ReadSettings(
        predictor.accepted, settings.activation, settings.hashed, memory() // 2, task.fitted_by, settings.cut
    )
    return _run(task, paths, settings, tally, predictor, reading)


def _run(
    task: RowTask[Row],
    paths: Iterable[str],
    settings: EngineSettings,
    tally: Tally,
    predictor: Predictor[Row],
    reading: ReadSettings,
) -> Generator[list[Scored[Row]], None, None]:
    if settings.jobs is None:
        ahead = Ahead(paths, settings.done)
        yield from _Growing(task, predictor, reading, settings, tally, ahead).rows(_chunks(ahead, settings, tally))
        return
    chunks = _chunks(paths, settings, tally)
    if settings.jobs == 0:
        yield from _here(chunks, predictor, reading, settings, tally)
    else:
        yield from _Pooled(task, predictor, reading, settings, tally, settings.jobs).run(chunks)


class _Growing(Generic[Row]):
    """Chunks in this process, until what is left is enough for several: how long it takes is known from the first ones.

    What a chunk costs depends on the head and the networks too much to be guessed. Processor time is what counts, so
    that a busy machine decides as an idle one does; where files come over a network, they are waited for as well.
    """

    def __init__(
        self,
        task: RowTask[Row],
        predictor: Predictor[Row],
        reading: ReadSettings,
        settings: EngineSettings,
        tally: Tally,
        ahead: Ahead,
    ) -> None:
        self._task: RowTask[Row] = task
        self._predictor: Predictor[Row] = predictor
        self._reading, self._settings, self._tally, self._ahead = reading, settings, tally, ahead
        self._on_gpu = not _scores_in_processes(settings.device)
        self._seconds, self._done = 0.0, 0.0  # taken, and bytes done in it
        self._each: dict[str, float] = {}  # bytes of a packed file's network
        self._large = False
        self._pool: _Pooled[Row] | None = None

    def rows(self, chunks: Iterable[list[Source]]) -> Generator[list[Scored[Row]], None, None]:
        """Score all; closing the generator ends the processes, if there are any."""
        try:
            yield from self._rows(chunks)
        except BaseException:
            if self._pool is not None:
                self._pool.end()
            raise
        if self._pool is not None:
            self._pool.finish()

    def _rows(self, chunks: Iterable[list[Source]]) -> Iterator[list[Scored[Row]]]:
        chunks = iter(chunks)
        for chunk in chunks:
            if self._pool is None and (jobs := self._jobs()):
                self._pool = _Pooled(self._task, self._predictor, self._reading, self._settings, self._tally, jobs)
            if self._pool is not None:
                yield from self._pool.rows(chain([chunk], chunks))
                return
            scored = self._scored(chunk)
            yield from _with_packed(chunk, scored, self._settings, self._tally, self._rows)

    def _jobs(self) -> int:
        # A large network has all threads here; processes have one each, and would hold several such networks at once.
        if not self._done or (self._large and not self._on_gpu):
            return 0
        left = max(0.0, self._ahead.bytes - self._done) * self._seconds / self._done
        if self._ahead.endless:
            left += self._seconds  # as much again as there has been, at least
        return jobs_for(left, endless=self._ahead.endless, most=most_jobs(), on_gpu=self._on_gpu)

    def _scored(self, chunk: list[Source]) -> ScoredChunk[Row]:
        clock = time.perf_counter if any(is_address(source.path) for source in chunk) else time.process_time
        started = clock()
        with threads_for(_numbers(chunk)):
            read = read_chunk(chunk, self._reading)
        after = clock()
        scored = self._predictor.rows(read)
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


def _numbers(chunk: list[Source]) -> int:
    """About how many numbers a chunk's largest file holds; of packed ones only parts of bounded size are read."""
    return max((bytes_of(source.path) for source in chunk if source.members is None), default=0) // 4


def _chunks(paths: Iterable[str], settings: EngineSettings, tally: Tally) -> Iterator[list[Source]]:
    """What is read in one go, without the files that are there already.

    The limits of chunks do not depend on these, and once a stop is asked for, none is cut short: what goes through a
    head together decides the last digits, and a run that is continued shall end with the rows of one that was not.
    """
    chunk: list[str] = []
    size = 0
    for path in paths:
        if settings.stop():
            return
        own = bytes_of(path)
        if chunk and (len(chunk) == _MOST_FILES or size + own > _MOST_BYTES):
            if left := _left(chunk, settings, tally):
                yield [Source(path) for path in left]
            chunk, size = [], 0
        chunk.append(path)
        size += own
    if not settings.stop() and (left := _left(chunk, settings, tally)):
        yield [Source(path) for path in left]


def _left(names: list[str], settings: EngineSettings, tally: Tally) -> list[str]:
    """Those that have no row yet; all, if a run was cut off in their midst (their rows are dropped, see `_new`)."""
    left = [name for name in names if name not in settings.done]
    tally.skipped += len(names) - len(left)
    return names if left and left == names[-len(left) :] else left


def _new(rows: list[Scored[Row]], settings: EngineSettings) -> list[Scored[Row]]:
    return [scored for scored in rows if scored.row.path not in settings.done] if settings.done else rows


def _parts(path: str, count: int, settings: EngineSettings, tally: Tally) -> Iterator[list[Source]]:
    """The networks of a packed file, some at a time, without those that are there already."""
    for start in range(0, count, MEMBERS_TOGETHER):
        if settings.stop():
            return
        places = range(start, min(start + MEMBERS_TOGETHER, count))
        names = [member_name(path, place) for place in places]
        left = set(_left(names, settings, tally))
        some = {place for place, name in zip(places, names, strict=True) if name in left}
        # Networks side by side are read together.
        starts = [place for place in places if place in some and place - 1 not in some]
        ends = [place + 1 for place in places if place in some and place + 1 not in some]
        if some:
            yield [Source(path, range_) for range_ in zip(starts, ends, strict=True)]


def _here(
    chunks: Iterable[list[Source]],
    predictor: Predictor[Row],
    reading: ReadSettings,
    settings: EngineSettings,
    tally: Tally,
) -> Generator[list[Scored[Row]], None, None]:
    def parts(chunks: Iterable[list[Source]]) -> Iterator[list[Scored[Row]]]:
        return _here(chunks, predictor, reading, settings, tally)

    for chunk in chunks:
        with threads_for(_numbers(chunk)):
            read = read_chunk(chunk, reading)
        yield from _with_packed(chunk, predictor.rows(read), settings, tally, parts)


def _with_packed(
    chunk: list[Source],
    scored: ScoredChunk[Row],
    settings: EngineSettings,
    tally: Tally,
    score: Callable[[Iterable[list[Source]]], Iterator[list[Scored[Row]]]],
) -> Iterator[list[Scored[Row]]]:
    """The rows of a chunk, and in their places those of the networks in its packed files."""
    tally.assumed += scored.assumed
    rows = [Scored(row, stamp) for row, stamp in zip(scored.rows, scored.stamps, strict=True)]
    start = place = 0
    for number, source in enumerate(chunk):
        if number not in scored.packed:
            place += len(source.names)
            continue
        if place > start:
            yield _new(rows[start:place], settings)
        start = place
        yield from score(_parts(source.path, scored.packed[number], settings, tally))
    if len(rows) > start:
        yield _new(rows[start:], settings)


class _Pooled(Generic[Row]):
    """Chunks through processes; the rows come in order, or as they are finished."""

    def __init__(
        self,
        task: RowTask[Row],
        predictor: Predictor[Row],
        reading: ReadSettings,
        settings: EngineSettings,
        tally: Tally,
        jobs: int,
    ) -> None:
        self._predictor: Predictor[Row] = predictor
        self._settings, self._tally, self._jobs = settings, tally, jobs
        self._whole = _scores_in_processes(settings.device)
        self._crew: Crew[Any, list[Source], Any]
        if self._whole:
            shared = _Shared(task, settings.head, settings.device, settings.dtype, settings.batch_size, reading)
            self._crew = Crew(_score_chunk, shared, jobs)
        else:
            # Not the head: it may be a loaded one, whose tensors are on a GPU that only this process is to use.
            self._crew = Crew(_read_only, reading, jobs)

    def run(self, chunks: Iterable[list[Source]]) -> Generator[list[Scored[Row]], None, None]:
        """Score all; closing the generator ends the processes."""
        try:
            yield from self.rows(chunks)
        except BaseException:
            self.end()
            raise
        self.finish()

    def end(self) -> None:
        """End the processes at once."""
        self._crew.end()

    def finish(self) -> None:
        """Let the processes go once they have nothing to do."""
        self._crew.finish()

    def rows(self, chunks: Iterable[list[Source]]) -> Iterator[list[Scored[Row]]]:
        """The rows of chunks; the processes stay."""
        chunks = iter(chunks)
        waiting: deque[Given[list[Source], Any]] = deque()
        while True:
            while len(waiting) < self._jobs * (1 + _AHEAD) and (chunk := next(chunks, None)) is not None:
                waiting.append(self._crew.submit(chunk))
            if not waiting:
                return
            if not self._settings.ordered:
                front = first_finished(list(waiting))
                waiting.remove(front)
                waiting.appendleft(front)
            yield from self._next(waiting)

    def _next(self, waiting: deque[Given[list[Source], Any]]) -> Iterator[list[Scored[Row]]]:
        taken: list[tuple[list[Source], Any]] = []
        networks = 0
        # With a GPU, what has been read by now shares a batch; the first is waited for.
        while waiting and (
            not taken or (not self._whole and networks < self._settings.batch_size and waiting[0].future.done())
        ):
            given = waiting.popleft()
            try:
                result = self._crew.result(given)
            except KilledError:
                result = self._alone(given.job)
            taken.append((given.job, result))
            networks += len(result.stamps)
        results = [result for _, result in taken]
        scored = results if self._whole else self._predictor.rows_of(results)
        for (chunk, _), own in zip(taken, scored, strict=True):
            yield from _with_packed(chunk, own, self._settings, self._tally, self.rows)

    def _alone(self, chunk: list[Source]) -> Any:
        """The files of a chunk that a process was killed at, one by one: the one that kills it fails alone."""
        parts = []
        for source in chunk:
            try:
                parts.append(self._crew.alone([source]))
            except KilledError:
                parts.append(self._killed(source))
        return _merged(parts, whole=self._whole)

    def _killed(self, source: Source) -> Any:
        error = CheckpointError(
            source.path,
            "the process that read it was killed, perhaps because memory ran out",
            MORE_MEMORY,
        )
        names = source.names
        chunk = ReadChunk(names, [None] * len(names), [], dict.fromkeys(range(len(names)), error), {})
        return self._predictor.rows(chunk) if self._whole else chunk


def _scores_in_processes(device: str) -> bool:
    """Whether the processes put networks through the heads as well: one GPU serves one process best."""
    return device == "cpu"


def _merged(parts: list[Any], *, whole: bool) -> Any:
    """Results of single sources as one chunk's."""
    packed = {number: part.packed[0] for number, part in enumerate(parts) if part.packed}
    if whole:
        rows = [row for part in parts for row in part.rows]
        assumed: Counter[tuple[str, str]] = sum((part.assumed for part in parts), Counter())
        return ScoredChunk(rows, [stamp for part in parts for stamp in part.stamps], assumed, packed)
    names: list[str] = []
    stamps: list[Stamp | None] = []
    groups: list[Group] = []
    failures: dict[int, NfnError] = {}
    for part in parts:
        groups += [group.moved(len(names)) for group in part.groups]
        failures |= {place + len(names): error for place, error in part.failures.items()}
        names += part.names
        stamps += part.stamps
    return ReadChunk(names, stamps, groups, failures, packed)


@dataclass(frozen=True)
class _Shared:
    """What a process must know that scores."""

    task: Any
    head: Any
    device: str
    dtype: str
    batch_size: int
    reading: ReadSettings


_predictor: list[Predictor[Any]] = []


def _score_chunk(shared: _Shared, chunk: list[Source], on_steps: Callable[[int], None]) -> ScoredChunk[Any]:
    if not _predictor:
        _predictor.append(Predictor(shared.task, shared.head, shared.device, shared.dtype, shared.batch_size))
    return _predictor[0].rows(read_chunk(chunk, shared.reading))


def _read_only(reading: ReadSettings, chunk: list[Source], on_steps: Callable[[int], None]) -> ReadChunk:
    return read_chunk(chunk, reading)
