"""A device that is not there: what a GPU refuses, told on a machine without one.

Tensors of the `meta` device have no values, so they stand for those of a GPU. `meta` alone lets several operators mix
them with tensors of the CPU, and reads nothing back; `ForeignDevice` refuses the first as a GPU does, and answers the
second with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FOREIGN = "meta"
_COPIES = ("aten::_to_copy", "aten::to", "aten::copy_", "aten::copy")
# Positions may lie on the CPU: a GPU fetches them.
_INDEXED = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_")
_PLAIN = torch.Generator
_WIDE = (torch.float64, torch.complex128)


class MixedDevicesError(AssertionError):
    """An operator of tensors on two devices."""


class MissingDtypeError(TypeError):
    """A number format that the device does not have, as PyTorch says it of MPS."""


class _Generator(torch.Generator):
    """`torch.Generator`, for the device that is not there as well."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:  # type: ignore[misc]
        return _PLAIN("cpu" if torch.device(device).type == FOREIGN else device)


class ForeignDevice(TorchDispatchMode):
    """While it is entered, operators on `meta` keep a GPU's rules.

    Args:
        float64: whether the device has it; MPS has not.

    Attributes:
        operators: how many ran on the device.
        moved: how many tensors came back to the CPU.
    """

    def __init__(self, *, float64: bool = True) -> None:
        super().__init__()
        self._float64 = float64
        self.operators = self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given, name = dict(kwargs or {}), func._schema.name
        tensors = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        foreign = [tensor for tensor in tensors if tensor.is_meta]
        if name in _COPIES and (back := self._brought_back(name, func, args, given)) is not None:
            return back
        if name in ("aten::_local_scalar_dense", "aten::item") and foreign:
            return _number(foreign[0].dtype)
        if name in ("aten::is_nonzero", "aten::equal") and foreign:
            return True
        if foreign and name not in _COPIES:
            self._require_together(name, args, tensors)
        found = func(*args, **given)
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor) and leaf.is_meta]
        self.operators += bool(made)
        if not self._float64:
            for tensor in (*foreign, *made):
                if tensor.dtype in _WIDE:
                    raise MissingDtypeError(f"{name}: the device has no {tensor.dtype}")
        return found

    def _brought_back(self, name: str, func: Any, args: Sequence[Any], given: Mapping[str, Any]) -> Any:
        """Zeros in place of the values of a tensor that moves to the CPU; None of what does not."""
        if name in ("aten::copy_", "aten::copy"):
            if not args[0].is_meta and args[1].is_meta:
                self.moved += 1
                return args[0].zero_()
            return None
        source = args[0]
        if not source.is_meta:
            return None
        named = [leaf for leaf in (*args[1:], *given.values()) if leaf is not None]
        wanted = next((leaf for leaf in named if isinstance(leaf, torch.device)), None)
        if name == "aten::to" and isinstance(args[1] if len(args) > 1 else None, Tensor):
            wanted, named = args[1].device, [args[1].dtype]
        if wanted is None or wanted.type == FOREIGN:
            return None
        self.moved += 1
        dtype = next((leaf for leaf in named if isinstance(leaf, torch.dtype)), source.dtype)
        return torch.zeros(source.shape, dtype=dtype, device=wanted)

    def _require_together(self, name: str, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
        if name in _INDEXED and args[0].is_meta:
            tensors = [args[0], *(leaf for leaf in args[2:] if isinstance(leaf, Tensor))]
        beside = [tensor for tensor in tensors if not tensor.is_meta and tensor.ndim > 0]
        if beside:
            shapes = [f"{tensor.device.type} {list(tensor.shape)}" for tensor in tensors]
            raise MixedDevicesError(f"{name}: tensors on two devices ({', '.join(shapes)})")


@contextmanager
def foreign_device(*, float64: bool = True) -> Iterator[ForeignDevice]:
    """`ForeignDevice`, with `torch.Generator("meta")` as well."""
    with mock.patch("torch.Generator", _Generator), ForeignDevice(float64=float64) as mode:
        yield mode


def _number(dtype: torch.dtype) -> Any:
    return True if dtype is torch.bool else 1.0 if dtype.is_floating_point else 1
