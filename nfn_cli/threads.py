"""How many threads PyTorch computes with: one for little work, as many as it is set to for much.

PyTorch splits operators over threads that wait for one another after each. Where other programs keep the processors
busy, a small network's operators are done before the last thread has got its turn. Measured on two processors with two
busy processes beside: 256 small CNNs through a head take 19 to 30 seconds with two threads that spin while they wait, 6
with two that sleep, and 4 to 6 with one. So both are settled here: waiting threads sleep, and little work has one.

>>> import torch
>>> with threads_for(5_000):  # one small network
...     print(torch.get_num_threads() if not os.environ.get("OMP_NUM_THREADS") else 1)
1
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

# Numbers that work of more than one thread goes over. An operator on so many takes half a millisecond on one processor;
# to wake a thread that sleeps takes a tenth of one. PyTorch itself splits from 32,768 on.
LARGE = 1 << 20
# Numbers that a head carries for every weight, about. They count in fits, which are one process: beside two busy
# processes a step on 64 small CNNs takes no longer with two threads that sleep while they wait than with one. They do
# not count in forward passes: many networks are scored by processes of one thread, and few are done at once.
CHANNELS = 30

_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

Given = ParamSpec("Given")
Result = TypeVar("Result")

# What PyTorch was set to before the outermost of nested decisions.
_most: list[int] = []


def sleep_while_waiting() -> None:
    """Have PyTorch's threads sleep while they wait, unless the environment says how to wait.

    OpenMP reads its environment when it is loaded, so this has to come before torch is imported, and changes nothing
    after it.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "passive"


@contextmanager
def threads_for(numbers: int) -> Iterator[None]:
    """Inside the block, use a number of threads that suits work on so many numbers.

    Little work has one thread. Large work has what PyTorch is set to, also within what was taken for little. Where
    OMP_NUM_THREADS or MKL_NUM_THREADS is set, that holds for all work. Results differ by no more than rounding.

    Args:
        numbers: that an operator goes over, such as the weights of a batch of networks.
    """
    import torch  # here, so that importing this module is fast

    # Other threads of Python belong to a program around this one, and so does the number of theirs.
    if any(os.environ.get(name) for name in _COUNTS) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = torch.get_num_threads()
    outermost = not _most
    if outermost:
        _most.append(before)
    _set(_most[0] if numbers >= LARGE else 1)
    try:
        yield
    finally:
        _set(before)
        if outermost:
            _most.clear()


def _set(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def weights_of(*points: Any) -> int:
    """How many weights networks have, or batches of them: whatever has `tensors`."""
    return sum(tensor.numel() for point in points for tensor in point.tensors.values())


def by_weights(work: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let a function decide its threads by the weights of the networks among its arguments, see `threads_for`."""

    @wraps(work)
    def decided(*arguments: Given.args, **options: Given.kwargs) -> Result:
        points = [own for own in (*arguments, *options.values()) if hasattr(own, "tensors")]
        with threads_for(weights_of(*points)):
            return work(*arguments, **options)

    return decided


def numbers_in(*paths: str | os.PathLike[str]) -> int:
    """About how many numbers some checkpoints hold, by the sizes of their files; missing files hold none.

    A folder's are those of all files in it; an index stands for the files beside it.
    """
    return sum(_bytes(Path(path)) for path in paths) // 4


def _bytes(path: Path) -> int:
    try:
        if path.suffix == ".json":
            path = path.parent
        if path.is_dir():
            return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
