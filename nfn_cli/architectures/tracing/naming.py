"""The parameters and buffers of a module, and which of their names are names of one tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Held:
    """A parameter or a buffer.

    Attributes:
        names: all that the module has for it, in the order of its state dict; several where it is tied.
        stored: those of them that are in the state dict; none of a buffer that is not persistent.
        shape, dtype: in the module.
        is_parameter: rather than a buffer.
    """

    names: tuple[str, ...]
    stored: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_parameter: bool

    @property
    def name(self) -> str:
        """The first that the state dict has, if it has any."""
        return (self.stored or self.names)[0]


@dataclass(frozen=True)
class Names:
    """What a module holds.

    Attributes:
        held: each tensor once, in the order of the state dict.
        overlapping: first names of pairs that are different views of the same numbers in memory, so that who changes
            one changes the other.
    """

    held: tuple[Held, ...]
    overlapping: tuple[tuple[str, str], ...]

    def of(self, name: str) -> Held | None:
        """Which of them has a name."""
        return next((held for held in self.held if name in held.names), None)


def names_of(module: nn.Module) -> Names:
    """The tensors of a module. Two are one where they are one object, or the same numbers in memory seen alike."""
    stored = module.state_dict(keep_vars=True)
    tensors: dict[tuple[object, ...], list[str]] = {}
    values: dict[str, Tensor] = {}
    for name, tensor in _all(module):
        values[name] = tensor
        tensors.setdefault(_identity(tensor), []).append(name)
    order = {name: place for place, name in enumerate(stored)}
    groups = [sorted(names, key=lambda name: order.get(name, len(order))) for names in tensors.values()]
    groups.sort(key=lambda names: order.get(names[0], len(order)))
    held = tuple(
        Held(
            tuple(names),
            tuple(name for name in names if name in stored),
            tuple(values[names[0]].shape),
            values[names[0]].dtype,
            any(isinstance(values[name], nn.Parameter) for name in names),
        )
        for names in groups
    )
    return Names(held, tuple(_overlaps([(one.name, values[one.name]) for one in held])))


def _all(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _identity(tensor: Tensor) -> tuple[object, ...]:
    storage = memory_of(tensor)
    if storage is None or not tensor.numel():
        return (id(tensor),)
    return (storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def memory_of(tensor: Tensor) -> int | None:
    """A number for the memory that a tensor lies in, on the meta device too; None for one without."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse, or of a shape that is not known yet
        return None


def _overlaps(tensors: list[tuple[str, Tensor]]) -> Iterator[tuple[str, str]]:
    """Pairs of one memory whose ranges of bytes meet."""
    ranges: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in tensors:
        storage = memory_of(tensor)
        if storage is None or not tensor.numel():
            continue
        size = tensor.element_size()
        first = int(tensor.storage_offset()) * size
        last = int(sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))) * size
        ranges.setdefault(storage, []).append((first, first + last + size, name))
    for spans in ranges.values():
        for place, (start, end, name) in enumerate(spans):
            for begin, stop, other in spans[place + 1 :]:
                if begin < end and start < stop:
                    yield name, other
