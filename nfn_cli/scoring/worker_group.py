"""Processes that each have a queue of their own, so that it is known what one that is killed was at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from nfn_cli.processes import WorkerPool

Shared = TypeVar("Shared")
Job = TypeVar("Job")
Result = TypeVar("Result")


class KilledError(Exception):
    """The process that worked on a job was killed."""


@dataclass(eq=False)
class _Worker(Generic[Shared, Job, Result]):
    pool: WorkerPool[Shared, Job, Result]
    queue: deque[Given[Job, Result]] = field(default_factory=deque)

    def unfinished(self) -> list[Given[Job, Result]]:
        """What it still has to do, in its order."""
        self.queue = deque(given for given in self.queue if not given.answered())
        return list(self.queue)


@dataclass(eq=False)
class Given(Generic[Job, Result]):
    """A job that a process has been given.

    Attributes:
        suspect: a process was killed while it worked on this.
    """

    job: Job
    worker: Any
    future: Future[Result] = field(default_factory=Future)
    suspect: bool = False

    def answered(self) -> bool:
        """Whether there is a result, or an error of the job itself."""
        return self.future.done() and not isinstance(self.future.exception(), BrokenProcessPool)


class WorkerGroup(Generic[Shared, Job, Result]):
    """Some processes that do the same work.

    A process that is killed takes nothing else with it: it is replaced, the jobs that waited for it are given to its
    successor, and the one that it was at fails (`KilledError`).

    Args:
        work, shared: as in `WorkerPool`.
    """

    def __init__(
        self, work: Callable[[Shared, Job, Callable[[int], None]], Result], shared: Shared, workers: int
    ) -> None:
        self._work, self._shared = work, shared
        self._workers: list[_Worker[Shared, Job, Result]] = [_Worker(self._started()) for _ in range(workers)]
        self._apart: WorkerPool[Shared, Job, Result] | None = None

    def submit(self, job: Job) -> Given[Job, Result]:
        """Give a job to the process that has the least to do."""
        worker = min(self._workers, key=lambda worker: len(worker.unfinished()))
        given: Given[Job, Result] = Given(job, worker)
        self._give(given)
        return given

    def result(self, given: Given[Job, Result]) -> Result:
        """Wait for a job's result.

        Raises:
            KilledError: a process was killed while it worked on it.
        """
        while True:
            try:
                return given.future.result()
            except BrokenProcessPool as error:
                if not given.suspect:
                    self._mend(given.worker)
                if given.suspect:
                    raise KilledError from error

    def alone(self, job: Job) -> Result:
        """Have a job done by a process that does nothing else.

        Raises:
            KilledError: that was killed too.
        """
        if self._apart is None:
            self._apart = self._started()
        try:
            return self._apart.submit(job).result()
        except BrokenProcessPool as error:
            self._apart.end()
            self._apart = None
            raise KilledError from error

    def finish(self) -> None:
        """Let the processes go once they have nothing to do."""
        for pool in self._pools():
            pool.finish()

    def end(self) -> None:
        """End the processes at once."""
        for pool in self._pools():
            pool.end()

    def _started(self) -> WorkerPool[Shared, Job, Result]:
        return WorkerPool(self._work, self._shared, 1)

    def _pools(self) -> list[WorkerPool[Shared, Job, Result]]:
        return [worker.pool for worker in self._workers] + ([self._apart] if self._apart is not None else [])

    def _give(self, given: Given[Job, Result]) -> None:
        try:
            given.future = given.worker.pool.submit(given.job)
        except BrokenProcessPool:
            self._mend(given.worker)
            given.future = given.worker.pool.submit(given.job)
        given.worker.queue.append(given)

    def _mend(self, worker: _Worker[Shared, Job, Result]) -> None:
        """Replace a process that was killed. It worked through its queue in order, so it was at the first of these."""
        left = worker.unfinished()
        worker.pool.end()
        worker.pool = self._started()
        worker.queue.clear()
        for position, given in enumerate(left):
            if position == 0:
                given.suspect = True
            else:
                self._give(given)


def first_finished(waiting: list[Given[Job, Result]]) -> Given[Job, Result]:
    """Wait until one of some jobs is finished, and tell which; the first of several."""
    done, _ = wait([given.future for given in waiting], return_when=FIRST_COMPLETED)
    return next(given for given in waiting if given.future in done)
