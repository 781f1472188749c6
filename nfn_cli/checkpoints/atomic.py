"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from nfn_cli.errors import CheckpointError


def write_atomically(path: Path, write: Callable[[Path], None], *, overwrite: bool = False) -> None:
    """Let `write` fill a temporary file in the same folder, then move it to `path` in one step.

    Args:
        path: where the file shall be.
        write: fills the file at the path it is given.
        overwrite: replace a file that is already there.

    Raises:
        CheckpointError: the file exists (without `overwrite`), or cannot be written. Nothing is left behind.
    """
    require_writable(path, overwrite=overwrite)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        # mkstemp makes files private; a finished file gets the permissions of any other new one.
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(path, f"cannot be written ({error.strerror or error})", "choose another place") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Check, before long work, that a file may be written.

    Raises:
        CheckpointError: the file exists (without `overwrite`), or its folder does not.
    """
    if path.exists() and not overwrite:
        raise CheckpointError(path, "the file exists already", "pass --overwrite to replace it")
    if not path.parent.is_dir():
        raise CheckpointError(path, "its folder does not exist", "make the folder first")


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
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda file: save_file(contiguous, file, metadata=dict(metadata or {})), overwrite=overwrite)


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
