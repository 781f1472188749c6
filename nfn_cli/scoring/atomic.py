"""Files of rows are replaced whole or not at all, and cut back to whole rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nfn_cli.checkpoints import write_atomically
from nfn_cli.errors import CheckpointError, DataError

AGAIN = "repeat the command with --resume"


def replaced(path: Path, write: Callable[[Path], None], remedy: str | None = None) -> None:
    """Write a file aside, and put it in the place of what is there.

    Args:
        write: called with where to write.
        remedy: for the error, in place of a general one.

    Raises:
        DataError: it cannot be written; what was there stays.
    """
    try:
        write_atomically(path, write, overwrite=True)
    except CheckpointError as error:
        raise DataError(error.subject, error.cause, remedy or error.remedy) from error
    except OSError as error:
        raise _not_written(path, error) from error


def cut(path: Path, end: int) -> None:
    """Cut a file to so many bytes, if it is longer.

    Raises:
        DataError: that is not allowed.
    """
    try:
        if os.path.getsize(path) > end:
            os.truncate(path, end)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> DataError:
    return DataError(path, f"cannot be written ({error.strerror})", "check its permissions")
