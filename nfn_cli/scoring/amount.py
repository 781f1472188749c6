"""How much there is to score, and how many processes that is worth."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator

from nfn_cli.checkpoints import is_address
from nfn_cli.scoring.machine import memory, processors

# Seconds of a processor that a process takes before it scores anything: to import PyTorch and load a head. 1.9 to 2.2
# as measured; a small CNN takes 0.006 after that.
_START = 2.0
# A process is started where it will have at least so many times that to do: at worst half as much processor time again
# is spent, and on two processors three quarters of the wall time are left where it just pays.
_PAYS = 2.0
# So many files are looked at ahead, for every processor, to tell how much there is to do. Beyond them, it is taken for
# enough for every processor.
_SEEN = 1024
# What the shortest file is worth: each takes some time.
_LEAST_BYTES = 1 << 12
# What a process takes at least, and so how many of them a machine can hold.
_PROCESS_BYTES = 1 << 30


class Ahead:
    """Files, some of which are looked at ahead: how much there is to do.

    Attributes:
        bytes: of those that have been looked at and have no row yet.
        endless: whether there are more than have been looked at.
    """

    def __init__(self, paths: Iterable[str], done: Collection[str]) -> None:
        self._paths, self._done = iter(paths), done
        self._seen: deque[str] = deque()
        self._most = _SEEN * processors()
        self.bytes = 0
        self.endless = True

    def __iter__(self) -> Iterator[str]:
        while True:
            while self.endless and len(self._seen) < self._most:
                path = next(self._paths, None)
                if path is None:
                    self.endless = False
                    break
                self._seen.append(path)
                self.bytes += 0 if path in self._done else work_of(path)
            if not self._seen:
                return
            yield self._seen.popleft()


def work_of(path: str) -> int:
    """Bytes that a file is worth when work is estimated."""
    return max(_LEAST_BYTES, bytes_of(path))


def jobs_for(seconds: float, *, endless: bool, most: int, on_gpu: bool = False) -> int:
    """How many processes to start for work that would take one processor so long; 0 to do it here.

    Args:
        seconds: that this process would take for what is known to be left.
        endless: whether there is more than that.
        most: processes that the machine can hold.
        on_gpu: whether processes only read, while this one works too.
    """
    paid = int(seconds / (_START * _PAYS))
    # One process beside this one, which would only wait for it, gains nothing.
    if paid < (1 if on_gpu else 2) or (most < 2 and not on_gpu):
        return 0
    return most if endless else min(most, paid)


def most_jobs() -> int:
    """How many processes this machine can hold."""
    return max(1, min(processors(), memory() // _PROCESS_BYTES))


def bytes_of(path: str) -> int:
    """Of a file; 0 where that is unknown until it is opened."""
    if is_address(path):
        return 0
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0
