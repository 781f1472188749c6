"""Which number format a device computes fastest in."""

from __future__ import annotations

import torch


def fastest_precision(device: str) -> str:
    """`bfloat16` where the processor computes in it, else `float32`."""
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    on_cpu = device == "cpu" and torch.backends.mkldnn.is_available()
    return "bfloat16" if on_cpu and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
