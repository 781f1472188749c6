"""Write a file whole or not at all.

A process that is killed leaves no half file, because a file gets its name once it is written. That no power failure
leaves one takes more: the file must be on the disk before it gets its name, and each one waits for the disk. The small
new files of a batch (see `synced_together`) are brought there together, at the batch's end.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.checkpoints.hub_cache import SHARED, is_blob
from nfn_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

# Within a batch, whether a file waits for its end; None outside.
_WAITING: ContextVar[bool | None] = ContextVar("waiting", default=None)
# Names of files that are written beside the ones they will replace (see `replacement`).
ASIDE = re.compile(r"\.[0-9a-f]{16}\.new")
_LARGE = 1 << 24  # bytes; from here on, waiting for the disk is little beside writing


@contextmanager
def synced_together() -> Iterator[None]:
    """Bring the small new files that are written within it to the disk together, when it ends.

    Until then, a power failure (not the end of the process) may leave some of them empty. Files of 16 MB or more, and
    those that replace another, are on the disk before they get their name, as they are elsewhere.
    """
    token = _WAITING.set(False)
    try:
        yield
    finally:
        if _WAITING.get():
            os.sync()
        _WAITING.reset(token)


@contextmanager
def synced_each() -> Iterator[None]:
    """Bring every file that is written within it to the disk before it gets its name, in a batch too."""
    token = _WAITING.set(None)
    try:
        yield
    finally:
        _WAITING.reset(token)


def write_atomically(path: Path, write: Callable[[Path], None], *, overwrite: bool = False) -> None:
    """Let `write` fill a temporary file in the same folder, then move it to `path` in one step.

    A new file gets the permissions of any other new one, a replaced file keeps its own; where `path` is a link, the
    file that it leads to is replaced, unless that is a blob of a Hugging Face cache, which is named after its content.

    Args:
        path: where the file shall be.
        write: fills the file at the path it is given.
        overwrite: replace a file that is already there.

    Raises:
        CheckpointError: the file exists (without `overwrite`), is such a blob, or cannot be written. Nothing is left
            behind.
    """
    require_writable(path, overwrite=overwrite)
    temporary: Path | None = None
    try:
        target = Path(os.path.realpath(path)) if os.path.islink(path) else path
        replaces = target.exists()
        # Named before it is made: an interrupt in between must leave nothing.
        temporary = hidden(target, ".new" if ASIDE.fullmatch(target.name) else ".tmp")
        # The system takes the user's mask off these permissions.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        permissions = (target if replaces else temporary).stat().st_mode & 0o777
        write(temporary)
        if replaces or not _may_wait(temporary):
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        # `write` may have put a file of its own there.
        temporary.chmod(permissions)
        if overwrite or not _linked(temporary, target):
            os.replace(temporary, target)
            temporary = None
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be written ({error.strerror or error})", "choose another place") from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # the folder may be one that can no longer be written to
                temporary.unlink(missing_ok=True)


def hidden(target: Path, suffix: str) -> Path:
    """A new, hidden name in the folder of a file, for what will get that file's name."""
    return target.with_name(f".{secrets.token_hex(8)}{suffix}")


def _linked(temporary: Path, target: Path) -> bool:
    """Give a file its name only if no other has got it since; whether the system can.

    Raises:
        FileExistsError: another writer was first.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except (OSError, AttributeError, NotImplementedError):  # a file system without links
        return False
    return True


def _may_wait(file: Path) -> bool:
    """Whether the end of a batch brings a new file to the disk."""
    if _WAITING.get() is None or not hasattr(os, "sync") or file.stat().st_size >= _LARGE:
        return False
    _WAITING.set(True)
    return True


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Check, before long work, that a file may be written.

    Raises:
        CheckpointError: the file exists (without `overwrite`), is a folder or device, is in a Hugging Face cache or a
            link into one, or its folder does not exist.
    """
    if is_blob(path):
        raise CheckpointError(path, f"{'a link into' if os.path.islink(path) else 'in'} {SHARED}", "write elsewhere")
    if os.path.exists(path):
        # A device would be replaced by a file, not written to.
        if not os.path.isfile(path):
            raise CheckpointError(path, "is not a regular file", "choose another place")
        if not overwrite:
            raise _exists(path)
    if not os.path.isdir(path.parent):
        raise CheckpointError(path, "its folder does not exist", "make the folder first")


def _exists(path: Path) -> CheckpointError:
    return CheckpointError(path, "the file exists already", "pass --overwrite to replace it")


def write_text_atomically(path: Path, text: str, *, overwrite: bool = False) -> None:
    """`write_atomically` for text, in UTF-8."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write, overwrite=overwrite)


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write tensors as a safetensors file, atomically; they are made contiguous first."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(contiguous, temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:  # such as a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write, overwrite=overwrite)
