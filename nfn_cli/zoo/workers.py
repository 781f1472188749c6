"""Train groups of networks in processes of one thread each, which is how a CPU is filled."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from nfn_cli.errors import DataError
from nfn_cli.zoo.hyperparameters import Hyperparameters
from nfn_cli.zoo.small_cnn import SmallCnn
from nfn_cli.zoo.trainer import Snapshot, TrainingImages, train_group

Group = list[Hyperparameters]

# Every step frees and takes the same large blocks. Without these, glibc hands them back to the kernel each time and
# pays for the page faults: a third of the time of a step.
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "200000000",
}


def train_in_processes(
    network: SmallCnn,
    groups: Sequence[Group],
    images: TrainingImages,
    epochs: tuple[int, ...],
    workers: int,
    on_samples: Callable[[int], None],
) -> Generator[tuple[Group, list[Snapshot]], None, None]:
    """Train groups in `workers` processes and yield each when it is finished, in whatever order that is.

    Closing the iterator ends the processes, whatever they are at, and so does the end of this process.

    Raises:
        DataError: a process was killed, most likely for want of memory.
    """
    for tensor in (images.train_patches, images.train_labels, images.test_patches, images.test_labels):
        tensor.share_memory_()
    context = multiprocessing.get_context("spawn")
    progress = context.Value("q", 0)
    pool = ProcessPoolExecutor(
        min(workers, len(groups)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(network, images, epochs, progress),
    )
    try:
        with _environment_of_workers():
            pending = {pool.submit(_train_in_worker, group): group for group in groups}
        told = 0
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            now = progress.value
            on_samples(now - told)
            told = now
            for future in done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        _end(pool)
        remedy = "give the same command again with fewer --workers or a smaller --group-size"
        raise DataError("nfn zoo", "a training process was killed, perhaps for want of memory", remedy) from error
    except BaseException:
        _end(pool)
        raise
    pool.shutdown()


def _end(pool: ProcessPoolExecutor) -> None:
    """An interrupt must not wait minutes for groups that nobody will read."""
    # The pool forgets its processes when it is shut down.
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    """What processes started here inherit: the allocator's settings, and a blocked Ctrl-C.

    A terminal sends Ctrl-C to the workers as well, where it would only print stack traces: this process ends them. It
    is not lost here, but arrives when the block is lifted.
    """
    before = {name: os.environ.get(name) for name in _MALLOC}
    os.environ.update({name: value for name, value in _MALLOC.items() if before[name] is None})
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


_worker: dict[str, Any] = {}


def _start_worker(network: SmallCnn, images: TrainingImages, epochs: tuple[int, ...], progress: Any) -> None:
    # A killed parent closes no pool: without this its workers would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked
    torch.set_num_threads(1)
    _worker.update(network=network, images=images, epochs=epochs, progress=progress)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _train_in_worker(group: Group) -> list[Snapshot]:
    def count(samples: int) -> None:
        with _worker["progress"].get_lock():
            _worker["progress"].value += samples

    return list(train_group(_worker["network"], group, _worker["images"], _worker["epochs"], count))
