"""Make folders, and hold one against a second run that would write to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nfn_cli.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents where they are missing; returns those it made, the innermost first.

    Raises:
        DataError: it cannot be made, or not be written to.
    """
    missing: list[Path] = []
    try:
        for path in (folder, *folder.parents):
            if os.path.lexists(path):
                break
            missing.append(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        remove_empty(missing)
        reason = getattr(error, "strerror", None) or error
        raise DataError(folder, f"cannot be made a folder ({reason})", "choose another place") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        remove_empty(missing)
        raise DataError(folder, "a folder that cannot be written to", "choose another place, or check its permissions")
    return missing


def require_place(folder: Path) -> None:
    """Check, before long work, that a folder is there, or can be made, and can be written to.

    Raises:
        DataError: it cannot.
    """
    remove_empty(make_folder(folder))


def remove_empty(folders: list[Path]) -> None:
    """Remove folders that hold nothing, the innermost first; the others stay."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def confined(folder: Path, path: Path, remedy: str, *, is_there: Callable[[Path], bool] = os.path.isfile) -> Path:
    """The path, after following links, of a file that must lie inside `folder`.

    Args:
        remedy: where it is not there.
        is_there: `os.path.isdir` for a folder instead of a file.

    Raises:
        DataError: it is not there, or leads out of the folder.
    """
    if not is_there(path):
        raise DataError(path, "is no file" if os.path.exists(path) else "no such file", remedy)
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that change meanwhile
        inside = False
    if not inside:
        raise DataError(path, f"leads out of {folder}", "copy it without links")
    return path


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a folder that exists, so that no second run holds it: until the block ends, or the process.

    Gives whether it is held.

    The lock is on the folder itself: a lock file in it would be taken for a part of the zoo or head, and one that a
    killed run has left would stay there. filelock, which holds outputs (see `nfn_cli.locks`), opens what it locks for
    writing, and a folder cannot be. Where the system knows no such locks (Windows, some network file systems), nothing
    is held.

    Raises:
        DataError: another run holds it.
    """
    descriptor: int | None = None
    locked = False
    if fcntl is not None:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None and fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError as error:
                raise _in_use(folder) from error
            except OSError:
                pass
            # The other run may have removed it, and a third have made it anew, before it was locked here.
            if not os.path.exists(folder) or not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                raise _in_use(folder)
        yield locked
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder if it is missing, and hold it. If the block fails, empty folders made for it are removed.

    Raises:
        DataError: it cannot be made, or another run holds it.
    """
    made = make_folder(folder)
    with held(folder):
        try:
            yield
        except BaseException:
            # While the lock is held: no other run has begun to write there.
            remove_empty(made)
            raise


def _in_use(folder: Path) -> DataError:
    return DataError(folder, "another run is writing to it", "wait for its end")
