"""Keep two runs from writing to one output: each would write the rows that the other has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from nfn_cli.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class locked:
    """Holds a file, or a folder, that exists; released by `close`, at the end of a `with` block, or of the process.

    Where the system knows no locks, as some network file systems, nothing is held.

    Raises:
        DataError: another run holds it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        if fcntl is None:
            return
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_RDONLY)
        if self._descriptor is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise DataError(path, "another run is writing to it", "wait for its end") from error
        except OSError:
            self.close()

    def close(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> locked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
