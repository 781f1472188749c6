"""The few values that a PyTorch file may have made: tensors, and the plain containers that have no opcode."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfn_cli.checkpoints.unread_objects import Husk, NotSaved, unread, unread_kind


@dataclass(frozen=True, eq=False)
class Maker(NotSaved):
    """A function that a file may have called, with whatever it likes as arguments."""

    make: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class StorageType(NotSaved):
    """A kind of storage."""

    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Storage(NotSaved):
    """The bytes that tensors share."""

    untyped: torch.UntypedStorage
    dtype: torch.dtype


_TOO_MANY = 1 << 62


def _strided(storage: Storage, dtype: torch.dtype, offset: int, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    size, stride = _naturals(size), _naturals(stride)
    (offset,) = _naturals((offset,))
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype) or len(size) != len(stride):
        raise ValueError("no tensor")
    if math.prod(size) >= _TOO_MANY:
        raise ValueError("more entries than can be counted")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    # PyTorch would enlarge the storage, by what the memory holds just then.
    if 0 not in size and (last + 1) * dtype.itemsize > storage.untyped.nbytes():
        raise ValueError("a tensor beyond its storage")
    tensor = torch.empty(0, dtype=dtype).set_(storage.untyped, offset, size, stride)
    return tensor.requires_grad_(requires_grad is True)


def _naturals(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, tuple) or not all(type(number) is int and 0 <= number < _TOO_MANY for number in numbers):
        raise ValueError("no natural numbers")
    return tuple(numbers)


def _tensor_v2(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None, bits: Any = None
) -> Tensor:
    # Lazily negated or conjugated: the numbers are not those in the file.
    return unread("a lazy view") if bits else _strided(storage, storage.dtype, offset, size, stride, requires_grad)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, bits: Any = None
) -> Tensor:
    return unread("a lazy view") if bits else _strided(storage, dtype, offset, size, stride, requires_grad)


def _parameter(data: Any = None, requires_grad: Any = True, *_: Any) -> Any:
    if isinstance(data, Husk):  # of a class of tensors that is not PyTorch's
        return data
    if not isinstance(data, Tensor):
        raise ValueError("a parameter of no tensor")
    return data if unread_kind(data) else torch.nn.Parameter(data.detach(), requires_grad is True)


def _of_type(make: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes, which are dropped, or one of another class, which may mean another thing."""
    if isinstance(make, Husk):
        return Husk(make.name, held=True)
    if not isinstance(make, Maker) or make is TENSOR_OF_TYPE or not isinstance(arguments, tuple):
        raise ValueError("no tensor of a class")
    made = make.make(*arguments)
    if isinstance(kind, Husk):
        return Husk(kind.name, held=True)
    if kind is not TENSOR and kind is not PARAMETER:
        raise ValueError("no class of tensors")
    return _parameter(made, True) if kind is PARAMETER and not isinstance(made, torch.nn.Parameter) else made


def _of_cpu_tensor(data: Any, dtype: Any, device: Any, requires_grad: Any) -> Tensor:
    if not isinstance(data, Tensor) or not isinstance(dtype, torch.dtype):
        raise ValueError("no tensor")
    # Of a legacy file the data are not there yet: they cannot be converted.
    return data if unread_kind(data) or data.dtype is dtype else unread("of another device, and converted")


def _ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
        raise ValueError("no pairs")
    return OrderedDict((checked_key(key), value) for key, value in pairs)


def _counter(counts: Any = None) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    if counts is not None:
        dict.update(counter, {} | counts)
    return counter


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple | set):
        raise ValueError("no items")
    return {checked_key(item) for item in items}


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    # How protocol 2 keeps bytes. Other codecs may unpack, or be imported.
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("no bytes")
    return text.encode("latin-1")


def _bytearray(content: Any = b"", encoding: Any = "latin-1") -> bytearray:
    # Of a number it would make as many bytes.
    return bytearray(content if isinstance(content, bytes) else _encoded(content, encoding))


def _complex(real: Any, imaginary: Any = 0.0) -> complex:
    if not all(type(part) in (int, float) for part in (real, imaginary)):
        raise ValueError("no numbers")
    return complex(real, imaginary)


def _device(kind: Any, index: Any = None) -> torch.device:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise ValueError("no device")
    return torch.device(kind) if index is None else torch.device(kind, index)


_LARGEST_KEY = 1000
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None), complex, torch.dtype, torch.device)


def checked_key(key: Any) -> Any:
    """What may be a key or stand in a set. Hashing a nest of tuples could take for ever."""
    seen, level = 0, [key]
    while level:
        item = level.pop()
        seen += 1
        if isinstance(item, tuple):
            level += item
        elif type(item) not in _PLAIN_KEYS and not isinstance(item, NotSaved):
            raise ValueError("no key")
        if seen + len(level) > _LARGEST_KEY:
            raise ValueError("a key of too many parts")
    return key


TENSOR = Maker(lambda *_: unread("of a kind that PyTorch no longer saves"))
PARAMETER = Maker(_parameter)
TENSOR_OF_TYPE = Maker(_of_type)

_STORAGES = {
    "BFloat16": torch.bfloat16,
    "Bool": torch.bool,
    "Byte": torch.uint8,
    "Char": torch.int8,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "Int": torch.int32,
    "Long": torch.int64,
    "QInt32": torch.qint32,
    "QInt8": torch.qint8,
    "QUInt2x4": torch.quint2x4,
    "QUInt4x2": torch.quint4x2,
    "QUInt8": torch.quint8,
    "Short": torch.int16,
    "Untyped": torch.uint8,
}

KNOWN: dict[str, Any] = {
    "_codecs.encode": Maker(_encoded),
    "builtins.bytearray": Maker(_bytearray),
    "builtins.complex": Maker(_complex),
    "builtins.set": Maker(_set),
    "collections.Counter": Maker(_counter),
    "collections.OrderedDict": Maker(_ordered_dict),
    "torch.Size": Maker(lambda size=(): torch.Size(_naturals(size))),
    "torch.Tensor": TENSOR,
    "torch._tensor._rebuild_from_type_v2": TENSOR_OF_TYPE,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": Maker(_of_cpu_tensor),
    "torch._utils._rebuild_device_tensor_from_numpy": Maker(lambda *_: unread("kept as a NumPy array")),
    "torch._utils._rebuild_meta_tensor_no_storage": Maker(lambda *_: unread("without data (on the meta device)")),
    "torch._utils._rebuild_nested_tensor": Maker(lambda *_: unread("nested")),
    "torch._utils._rebuild_parameter": PARAMETER,
    "torch._utils._rebuild_parameter_with_state": PARAMETER,
    "torch._utils._rebuild_qtensor": Maker(lambda *_: unread("quantized")),
    "torch._utils._rebuild_sparse_tensor": Maker(lambda *_: unread("sparse")),
    "torch._utils._rebuild_tensor": Maker(_tensor_v2),
    "torch._utils._rebuild_tensor_v2": Maker(_tensor_v2),
    "torch._utils._rebuild_tensor_v3": Maker(_tensor_v3),
    "torch._utils._rebuild_wrapper_subclass": Maker(lambda *_: unread("a wrapper without data")),
    "torch._utils._rebuild_xla_tensor": Maker(lambda *_: unread("kept as a NumPy array")),
    "torch.device": Maker(_device),
    "torch.nn.parameter.Parameter": PARAMETER,
    "torch.serialization._get_layout": Maker(lambda name: Husk(f"torch.layout {name}")),
}
_CONSTANTS = (torch.dtype, torch.qscheme, torch.memory_format)
KNOWN |= {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, _CONSTANTS)}
KNOWN |= {
    f"{module}.{name}Storage": StorageType(dtype)
    for module in ("torch", "torch.cuda", "torch.storage")
    for name, dtype in _STORAGES.items()
}
