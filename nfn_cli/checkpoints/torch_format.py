"""Read a PyTorch file without running anything that is in it."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from nfn_cli.errors import CheckpointError

_REMEDY = "save the state dict instead: torch.save(model.state_dict(), ...)"


def read_torch(path: Path, *, mmap: bool) -> Any:
    """The object that a PyTorch file holds, made of tensors and plain containers only (`weights_only=True`).

    Args:
        mmap: map the tensors instead of reading them; zip files only.

    Raises:
        CheckpointError: anything else is in it, or the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        culprit = _culprit(str(error))
        if culprit is None:
            raise CheckpointError(path, "a truncated or damaged file", "copy or save it again") from error
        cause = f"it holds more than tensors ({culprit}), which could run code; it was not loaded"
        raise CheckpointError(path, cause, _REMEDY) from error
    except Exception as error:
        # A damaged pickle makes the unpickler fail in ways without number (KeyError, IndexError, struct.error ...).
        cause = f"a truncated or damaged file ({type(error).__name__})"
        raise CheckpointError(path, cause, "copy or save it again") from error


def _culprit(message: str) -> str | None:
    found = re.search(
        r"(?:GLOBAL|Unsupported (?:class|operand|global:?)|function|class) ['`\"]?([\w.]+\.[\w.]+|[\w]+ [\w]+)",
        message,
    )
    if found:
        return found.group(1)
    return "an object of another class" if "Unsupported" in message or "allowed" in message else None
