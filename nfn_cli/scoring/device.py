"""Where to compute, and what to say of a device that cannot."""

from __future__ import annotations

import os
import re
import sys
import warnings
from typing import Any

import torch

from nfn_cli.errors import NfnError, UsageError
from nfn_cli.scoring.machine import is_out_of_memory

# With it, PyTorch computes on the CPU what MPS has no operator for. It counts where it is set before torch is imported.
FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
_BACKEND = re.compile(r"\b(CUDA|CUBLAS|CUDNN|cuDNN|CUSOLVER|CUFFT|NVML|HIP|MPS)")


def resolve_device(name: str) -> str:
    """`auto` becomes the first of cuda, mps and cpu that is there.

    Raises:
        UsageError: a device that this machine, or this build of torch, does not have.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present.get(name, False):
        raise UsageError(f"--device {name}", "this machine has no such device", "use --device auto")
    if name == "mps":
        _say_fallbacks()
    return name


def device_trouble(error: BaseException) -> NfnError | None:
    """What to say of an error that means that a device, or the memory, does not suffice; None of any other.

    >>> device_trouble(RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")).cause
    'too little memory (CUDA out of memory. Tried to allocate 20.00 MiB.)'
    """
    if not isinstance(error, MemoryError | RuntimeError | TypeError):
        return None
    lines = str(error).strip().splitlines()
    cause = lines[0][:200] if lines else type(error).__name__
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        remedy = "close what else uses it, work on less at once, or pass --device cpu if it was a GPU's"
        return NfnError("nfn", f"too little memory ({cause})", remedy)
    if not isinstance(error, MemoryError) and _BACKEND.search(cause):
        return NfnError("nfn", f"the device cannot compute this ({cause})", "pass --device cpu")
    return None


def is_missing_operator(error: BaseException, device: str) -> bool:
    """Whether MPS lacks an operator or a number format, as PyTorch says it."""
    return device == "mps" and isinstance(error, RuntimeError | TypeError) and "MPS" in str(error)


def say_once(line: str) -> None:
    """Print a line on stderr, the first time that it is asked for."""
    if line not in _said:
        _said.add(line)
        print(f"nfn: {line}", file=sys.stderr)


_said: set[str] = set()


def _say_fallbacks() -> None:
    """Have PyTorch's warnings of operators that MPS lacks said in one line."""
    plain = warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if "MPS" in str(message) and "fall back" in str(message):
            say_once("mps lacks some operators; what needs them is computed on the CPU")
        else:
            plain(message, category, filename, lineno, file, line)

    if os.environ.get(FALLBACK) == "1":
        warnings.showwarning = show
