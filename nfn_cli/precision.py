"""Number formats: which a device has, in which it computes fastest, and which of several rounds most."""

from __future__ import annotations

from collections.abc import Iterable

import torch

_WITHOUT_FLOAT64 = {"mps"}


def has_float64(device: str | torch.device) -> bool:
    """Whether a device computes in float64.

    >>> has_float64("cpu"), has_float64("mps")
    (True, False)
    """
    return torch.device(device).type not in _WITHOUT_FLOAT64


def fastest_precision(device: str) -> str:
    """`bfloat16` where the processor computes in it, else `float32`."""
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    on_cpu = device == "cpu" and torch.backends.mkldnn.is_available()
    return "bfloat16" if on_cpu and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def coarsest(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    """The floating-point dtype that rounds most.

    >>> coarsest([torch.float32, torch.bfloat16, torch.float16])
    torch.bfloat16
    """
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def finest(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    """The floating-point dtype that rounds least.

    >>> finest([torch.float32, torch.bfloat16])
    torch.float32
    """
    return min(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
