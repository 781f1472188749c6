"""Keep two runs from writing to one output: each would write over, or beside, the rows of the other."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from nfn_cli.errors import DataError

if TYPE_CHECKING:
    from filelock import BaseFileLock


class OutputLock:
    """Holds an output, which need not exist yet, until `close`, the end of a `with` block, or of the process.

    The lock is that of the operating system on a small file `.NAME.lock` beside the output: whatever ends a process
    ends its lock. `close` removes the file; one that a killed run has left means nothing, and the next run takes it.
    Where no such file can be made or locked (a read-only folder, a file system without locks), it lies in the folder
    for temporary files, and keeps the runs of this machine apart.

    Raises:
        DataError: another run holds the output, or there is no place for a lock.
    """

    def __init__(self, path: Path) -> None:
        target = Path(os.path.realpath(path))  # links to one file are one output
        beside = target.with_name(f".{target.name}.lock")
        lock = _taken(path, beside) if os.path.isdir(beside.parent) else None
        self._lock = lock or _taken(path, _elsewhere(path, target))
        if self._lock is None:
            raise DataError(path, "no lock can be made for it, here or among temporary files", "set TMPDIR")

    def close(self) -> None:
        """Release the lock."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        # Before it is let go: a run that opens the file meanwhile sees that it is gone, and one that comes later makes
        # its own. Windows removes no file that is open, and filelock does it there.
        if os.name == "posix":
            with suppress(OSError):
                os.unlink(lock.lock_file)
        with suppress(OSError):
            lock.release()

    def __enter__(self) -> OutputLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _taken(path: Path, file: Path) -> BaseFileLock | None:
    """The lock of a file; None where it cannot be made.

    Raises:
        DataError: another run holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is held in another way where the system knows no locks
            lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(path, f"another run is writing to it (it holds {file})", "wait for its end") from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, PermissionError) and os.path.lexists(file):
            cause = f"a run of another user is writing to it, or was killed (it holds {file})"
            raise DataError(path, cause, "wait for its end, or remove that file") from error
        return None
    return lock


def _elsewhere(path: Path, target: Path) -> Path:
    name = hashlib.sha256(os.fsencode(target)).hexdigest()[:32]
    user = os.getuid() if hasattr(os, "getuid") else "nfn"
    try:
        return Path(tempfile.gettempdir()) / f"nfn-{user}-{name}.lock"
    except OSError as error:
        cause = f"no lock can be made for it, here or among temporary files ({error.strerror})"
        raise DataError(path, cause, "set TMPDIR") from error
