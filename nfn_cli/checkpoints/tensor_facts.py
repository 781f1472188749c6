"""Facts about a tensor of any kind: shape, zeros, norm, and how many entries are not finite."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.checkpoints.unread_objects import unread_kind
from nfn_cli.checkpoints.validate import irregular_kind

# Entries that are in float64 at once.
_CHUNK = 1 << 18
# Squares of smaller and larger numbers leave the range of float64.
_SQUARED = (1e-140, 1e140)


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of a file.

    Attributes:
        shape: None of a nested tensor, which has none, and of one that is not made when its file is read.
        dtype: such as float32; empty for one that is not made.
        entries: how many numbers the shape has room for; None without a shape.
        zeros: how many entries are zero.
        norm: 2-norm of all entries, worked out in float64; 0 without entries, None where an entry, or the norm, is not
            finite.
        nan, inf: how many entries are not finite.
        note: why nothing is worked out, and `zeros`, `norm`, `nan` and `inf` are None: the tensor is sparse, quantized,
            nested or without data, or claims more entries than its file holds.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: str
    entries: int | None
    zeros: int | None = None
    norm: float | None = None
    nan: int | None = None
    inf: int | None = None
    note: str | None = None


def measure_tensors(tensors: Mapping[str, Tensor], unheld: Collection[str] = ()) -> tuple[TensorFacts, ...]:
    """The facts of tensors of any kind, in their order. No tensor is copied whole.

    Args:
        unheld: the names of those that claim more than their file holds; nothing is worked out of them.
    """
    return tuple(_facts(name, tensor, name not in unheld) for name, tensor in tensors.items())


def _facts(name: str, tensor: Tensor, held: bool) -> TensorFacts:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if (kind := unread_kind(tensor)) is not None:
        return TensorFacts(name, None, "", None, note=kind)
    if tensor.is_nested:
        return TensorFacts(name, None, dtype, None, note=irregular_kind(tensor))
    shape, entries = tuple(tensor.shape), tensor.numel()
    note = irregular_kind(tensor) or (None if held else "claims more than the file holds")
    if note is None:
        try:
            return TensorFacts(name, shape, dtype, entries, *_numbers(tensor))
        except RuntimeError:
            note = "of numbers that PyTorch does not compute with"  # such as float4
    return TensorFacts(name, shape, dtype, entries, note=note)


def _numbers(tensor: Tensor) -> tuple[int, float | None, int, int]:
    """Zeros, norm, NaN and Inf."""
    zeros = nan = inf = 0
    norm = 0.0
    for chunk in _chunks(tensor):
        wide = chunk.to(torch.complex128 if tensor.is_complex() else torch.float64)
        zeros += wide.numel() - int(wide.count_nonzero())
        own = _norm(wide)
        norm = math.hypot(norm, own)
        if not math.isfinite(own):
            broken = torch.isnan(wide)
            nan += int(broken.sum())
            inf += int((torch.isinf(wide) & ~broken).sum())
    return zeros, norm if math.isfinite(norm) else None, nan, inf


def _norm(wide: Tensor) -> float:
    norm = float(torch.linalg.vector_norm(wide))
    if not _SQUARED[0] < norm < _SQUARED[1]:
        largest = float(wide.abs().max()) if wide.numel() else 0.0
        if 0 < largest < math.inf:
            return largest * float(torch.linalg.vector_norm(wide / largest))
    return norm


def _chunks(tensor: Tensor) -> Iterator[Tensor]:
    """The entries in parts, in any order. What has no gaps in memory is taken flat, all else by its longest strides."""
    if tensor.numel() <= _CHUNK:
        yield tensor
        return
    tensor = tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True))
    if tensor.is_contiguous():
        yield from tensor.view(-1).split(_CHUNK)
    elif rows := _CHUNK // (tensor.numel() // len(tensor)):
        yield from tensor.split(rows)
    else:
        for row in tensor:
            yield from _chunks(row)
