"""Work on many jobs in processes of one thread each, which is how a CPU is filled."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, Generic, TypeVar

import torch

from nfn_cli.errors import DataError

Shared = TypeVar("Shared")
Job = TypeVar("Job")
Result = TypeVar("Result")

# Every step frees and takes the same large blocks. Without these (by name, with mallopt's number and the value), glibc
# hands them back to the kernel each time and pays for the page faults: a third of the time of a step.
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 2_000_000_000),
    "MALLOC_TRIM_THRESHOLD_": (-1, -1),  # never
    "MALLOC_TOP_PAD_": (-2, 200_000_000),
}

_SECONDS_TO_END = 5.0


class WorkerPool(Generic[Shared, Job, Result]):
    """Processes of one thread each that all do the same work. They end with this process, whatever ends it, and leave
    Ctrl-C to it.

    Args:
        work: a module's function, called with `shared`, a job, and a function to which it reports its steps.
        shared: handed to every process once; tensors in it should be in shared memory.
    """

    def __init__(
        self, work: Callable[[Shared, Job, Callable[[int], None]], Result], shared: Shared, workers: int
    ) -> None:
        context = _WorkerContext()
        self._progress = context.Value("q", 0)
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(work, shared, self._progress)
        )

    @property
    def steps(self) -> int:
        """The steps reported so far, over all processes."""
        return int(self._progress.value)

    def submit(self, job: Job) -> Future[Result]:
        """Have the work done on a job; the future raises `BrokenProcessPool` if its process, or another, was killed."""
        return self._pool.submit(_work, job)

    def finish(self) -> None:
        """Let the processes go once they have nothing to do."""
        self._pool.shutdown()

    def end(self) -> None:
        """End the processes at once: an interrupt must not wait for jobs whose results are not needed."""
        # The pool forgets its processes, and the thread that minds them, when it is shut down.
        processes = list((self._pool._processes or {}).values())
        minding: Any = self._pool._executor_manager_thread
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        if minding is not None:
            # While it closes its pipe, Python at its own end would write to it, and print a trace.
            minding.join(_SECONDS_TO_END)


def in_processes(
    work: Callable[[Shared, Job, Callable[[int], None]], Result],
    shared: Shared,
    jobs: Sequence[Job],
    workers: int,
    on_steps: Callable[[int], None],
    *,
    killed: DataError | None = None,
) -> Generator[tuple[Job, Result], None, None]:
    """Do the work on every job in `workers` processes, and yield each job and its result when it is finished, in
    whatever order that is.

    Closing the iterator ends the processes, whatever they are at, and so does the end of this process.

    Args:
        work, shared: as in `WorkerPool`.
        killed: what to raise where a process was killed; by default what `nfn zoo` says.

    Raises:
        DataError: a process was killed, most likely for want of memory.
    """
    pool: WorkerPool[Shared, Job, Result] = WorkerPool(work, shared, min(workers, len(jobs)))
    try:
        pending = {pool.submit(job): job for job in jobs}
        reported = 0
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            now = pool.steps
            on_steps(now - reported)
            reported = now
            for future in done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        pool.end()
        if killed is not None:
            raise killed from error
        remedy = "give the same command again with fewer --workers or a smaller --group-size"
        raise DataError("nfn zoo", "a training process was killed, perhaps because memory ran out", remedy) from error
    except BaseException:
        pool.end()
        raise
    pool.finish()


class _WorkerProcess(SpawnProcess):
    """A process that inherits a blocked Ctrl-C and no main module.

    A terminal sends Ctrl-C to the workers as well, where it would only print stack traces: this process ends them. It
    is not lost here, but arrives when the block is lifted.

    A new process would import this one's main module again, though no work is in it: that costs time, and where it is
    a script that does not guard its main part, the script would run again in every process. multiprocessing has no
    switch for it, and looks at `sys.modules` alone.
    """

    def start(self) -> None:
        """Start it."""
        main = sys.modules["__main__"]
        can_block = hasattr(signal, "pthread_sigmask")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if can_block else None
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _WorkerContext(SpawnContext):
    Process = _WorkerProcess


_worker: dict[str, Any] = {}


def _start_worker(work: Any, shared: Any, progress: Any) -> None:
    # A killed parent closes no pool: without this its workers would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked
    _keep_memory()
    torch.set_num_threads(1)
    _worker.update(work=work, shared=shared, progress=progress)


def _keep_memory() -> None:
    """Set glibc's allocator, unless the environment does; another one is left as it is."""
    with suppress(OSError, AttributeError, TypeError):  # what systems without glibc raise
        mallopt = ctypes.CDLL(None).mallopt
        for name, (parameter, value) in _MALLOC.items():
            if name not in os.environ:
                mallopt(parameter, value)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: Any) -> Any:
    def count(steps: int) -> None:
        with _worker["progress"].get_lock():
            _worker["progress"].value += steps

    return _worker["work"](_worker["shared"], job, count)
