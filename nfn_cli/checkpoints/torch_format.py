"""Read a PyTorch file without running anything that is in it."""

from __future__ import annotations

import os
import pickle
import pickletools
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from nfn_cli.checkpoints.printable import is_utf8, printable
from nfn_cli.checkpoints.safetensors_format import MAPPED_FROM
from nfn_cli.errors import CheckpointError

_SAFE = (2, 6)  # before it, `weights_only=True` could be got round
_COPY = "copy or save it again"
_REMEDY = "save the state dict instead: torch.save(model.state_dict(), ...)"
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}


def read_torch(path: Path, *, mmap: bool) -> Any:
    """The object that a PyTorch file holds, made of tensors and plain containers only (`weights_only=True`).

    Args:
        mmap: map the tensors of a large file instead of reading them; zip files only.

    Raises:
        CheckpointError: anything else is in it, or the file is damaged.
    """
    if _version() < _SAFE:
        cause = f"not loaded, since a file can make PyTorch {torch.__version__} run code (CVE-2025-32434)"
        raise CheckpointError(path, cause, "update torch to 2.6 or newer, or convert the file to safetensors")
    mmap = mmap and _can_be_mapped(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            return torch.load(path if mmap else file, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        cause, remedy = _refusal(str(error))
        raise CheckpointError(path, cause, remedy) from error
    except Exception as error:
        # A damaged pickle makes the unpickler fail in ways without number (KeyError, IndexError, struct.error ...).
        raise CheckpointError(
            path, f"a truncated, damaged or unknown kind of file ({type(error).__name__})", _COPY
        ) from error


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])


def _can_be_mapped(path: Path) -> bool:
    # PyTorch opens what it maps by name, and takes one suffix for another format.
    name = os.fspath(path)
    try:
        large = path.stat().st_size >= MAPPED_FROM
    except OSError:
        return False  # opening it tells why
    return large and is_utf8(name) and not name.endswith(".safetensors")


def _refusal(message: str) -> tuple[str, str]:
    """Cause and remedy, from what PyTorch's restricted unpickler says."""
    if found := re.search(r"GLOBAL (\S+)", message):
        return f"it holds more than tensors ({printable(found[1])}), which could run code; it was not loaded", _REMEDY
    if re.search(r"reduce|create new object|only build|must be imported", message):
        return "it holds more than tensors, which could run code; it was not loaded", _REMEDY
    if found := re.search(r"Unsupported operand (\d+)", message):
        opcode = _OPCODES.get(int(found[1]))
        if opcode is not None:
            told = f"{opcode.name}, protocol {opcode.proto}"
            return f"a pickle that PyTorch does not load safely ({told}), or damaged; it was not loaded", _REMEDY
    return "a truncated or damaged file", _COPY
