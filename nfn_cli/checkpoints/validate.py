"""Refuse what cannot be a network's weights, before anything is computed from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.unread_objects import unread_kind
from nfn_cli.errors import CheckpointError

# Smaller floating-point numbers are a form of quantization: they mean little without their scales.
_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_REAL_WEIGHTS = "give the checkpoint of the network before it was quantized"
# How bitsandbytes, GPTQ, AWQ and others call a matrix whose integers mean weights only by scales beside it.
_QUANTIZED = ("weight", "qweight", "qzeros", "weight_packed", "weight_int8")
# How many entries are looked at together; a huge tensor would otherwise need as much memory again for its mask.
_CHUNK = 1 << 24


def require_dense(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that every tensor of a file has its entries in the file, as plain numbers.

    Raises:
        CheckpointError: naming the tensor.
    """
    size = path.stat().st_size
    require_plain(path, tensors)
    for name, tensor in tensors.items():
        if claims_more(tensor, size):
            cause = f"tensor '{printable(name)}' claims {tensor.numel()} entries, more than the file can hold"
            raise CheckpointError(path, cause, "save contiguous weights")


def require_plain(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that every tensor is an array of real numbers.

    Raises:
        CheckpointError: naming the tensor.
    """
    for name, tensor in tensors.items():
        if (kind := _unusual_kind(tensor)) is not None:
            raise CheckpointError(path, f"tensor '{printable(name)}' is {kind}", "save dense real weights")


def require_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that there is a weight matrix, that none is quantized, and that every weight is finite.

    Raises:
        CheckpointError: for NaN and Inf naming the tensor, and how many there are.
    """
    require_matrix(path, tensors)
    broken = {name: counts for name, tensor in tensors.items() if any(counts := _not_finite(tensor))}
    if broken:
        name, counts = next(iter(broken.items()))
        raise _broken(path, name, counts, tensors[name].numel(), len(broken) - 1)


def require_matrix(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check, by shapes and dtypes alone, that there is a weight matrix and that none is quantized.

    Raises:
        CheckpointError: naming the tensor.
    """
    integers = {name: tensor for name, tensor in tensors.items() if _is_integer_matrix(tensor)}
    quantized = next((name for name in integers if name.endswith(_QUANTIZED)), None)
    if quantized is not None:
        kind = str(integers[quantized].dtype).removeprefix("torch.")
        cause = f"a quantized network (tensor '{printable(quantized)}' is a matrix of {kind})"
        raise CheckpointError(path, cause, _REAL_WEIGHTS)
    if integers and not any(tensor.is_floating_point() and tensor.ndim >= 2 for tensor in tensors.values()):
        name, tensor = next(iter(integers.items()))
        kind = str(tensor.dtype).removeprefix("torch.")
        cause = f"all its matrices are of integers (tensor '{printable(name)}' is {kind})"
        raise CheckpointError(path, cause, _REAL_WEIGHTS)
    if not any(tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() for tensor in tensors.values()):
        cause = f"no weight matrix among its {len(tensors)} tensors"
        raise CheckpointError(path, cause, "give the checkpoint of a network with linear or convolution layers")


def require_finite(path: Path, name: str, read: Tensor, entries: int, parts: Callable[[], Iterable[Tensor]]) -> None:
    """Check what was read of a tensor.

    Args:
        read: some or all of the tensor.
        entries: how many the tensor has.
        parts: the whole tensor, part by part; asked for only where something is wrong.

    Raises:
        CheckpointError: as `require_weights`, but of other tensors nothing is said.
    """
    if any(_not_finite(read)):
        counts = [_not_finite(part) for part in parts()]
        raise _broken(path, name, (sum(nan for nan, _ in counts), sum(inf for _, inf in counts)), entries, 0)


def _broken(path: Path, name: str, counts: tuple[int, int], entries: int, others: int) -> CheckpointError:
    found = " and ".join(f"{count} {kind}" for count, kind in zip(counts, ("NaN", "Inf"), strict=True) if count)
    more = f", and {others} more tensors are not finite" if others else ""
    cause = f"tensor '{printable(name)}' holds {found} of {entries} values{more}"
    return CheckpointError(path, cause, "use a checkpoint from before training diverged")


def _is_integer_matrix(tensor: Tensor) -> bool:
    real = tensor.is_floating_point() or tensor.is_complex() or tensor.dtype is torch.bool
    return not real and tensor.ndim >= 2 and tensor.numel() > 0


def irregular_kind(tensor: Tensor) -> str | None:
    """Why a tensor is not an array of its entries; None where it is one."""
    if (kind := unread_kind(tensor)) is not None:
        return kind
    if tensor.is_meta:
        return "without data (on the meta device)"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout is not torch.strided:
        return "sparse"
    return None


def claims_more(tensor: Tensor, size: int) -> bool:
    """Whether an array has more entries than a file of `size` bytes can hold.

    A few bytes can be repeated by strides, or a storage enlarged, to fill any memory.
    """
    return irregular_kind(tensor) is None and tensor.numel() * tensor.element_size() > size


def _unusual_kind(tensor: Tensor) -> str | None:
    if (kind := irregular_kind(tensor)) is not None:
        return kind
    if tensor.is_complex():
        return "complex"
    if tensor.is_floating_point() and tensor.dtype not in _REAL:
        return f"quantized ({str(tensor.dtype).removeprefix('torch.')})"
    return None


def _not_finite(tensor: Tensor) -> tuple[int, int]:
    """How many NaN and Inf."""
    if not tensor.is_floating_point():
        return 0, 0
    nan = inf = 0
    # Of float16 most sums would leave the range. A sum of another dtype takes ten times as long.
    wide = torch.float32 if tensor.dtype is torch.float16 else None
    for chunk in [tensor] if tensor.numel() <= _CHUNK else tensor.reshape(-1).split(_CHUNK):
        # A finite sum has finite terms only, and takes a fraction of the time. Sums of finite terms may overflow.
        if not math.isfinite(chunk.sum(dtype=wide).item()):
            nan += int(torch.isnan(chunk).sum())
            inf += int(torch.isinf(chunk).sum())
    return nan, inf
