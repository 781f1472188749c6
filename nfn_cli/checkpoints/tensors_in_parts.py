"""Tensors that are made as they are written, so that not even one of them need be in memory whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

from torch import Tensor


class PartedTensors(Mapping[str, Tensor]):
    """Tensors by name, each of which can be had in parts as well."""

    @abstractmethod
    def parts(self, name: str) -> Iterator[Tensor]:
        """The tensor's rows, some at a time and in their order."""

    def __contains__(self, name: object) -> bool:
        # A mapping would make the tensor to find out.
        return any(name == own for own in self)


def parts_of(tensors: Mapping[str, Tensor], name: str) -> Iterator[Tensor]:
    """A tensor's rows in parts; in one where the mapping has no others."""
    # Asked for when the first part is: whoever has the parts of many tensors has none of them in memory.
    if isinstance(tensors, PartedTensors):
        yield from tensors.parts(name)
    else:
        yield tensors[name]
