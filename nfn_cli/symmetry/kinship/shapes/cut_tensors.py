"""Parts of a checkpoint's tensors, cut out as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nfn_cli.checkpoints import TensorMap

_PART = 1 << 22  # entries of whole rows that are read at a time


@dataclass(frozen=True)
class Cut:
    """What is taken of a tensor.

    Attributes:
        name: of the whole tensor.
        kept: of an axis, which indices, int64, in the order that they get. Other axes stay whole.
        factors: of the second axis as it is then, what its entries are multiplied by, float64; None for nothing.
    """

    name: str
    kept: Mapping[int, Tensor] = field(default_factory=dict)
    factors: Tensor | None = None


class CutTensors(TensorMap):
    """Tensors cut out of others, by new names. Each is made when it is asked for, and not kept.

    Args:
        whole: the tensors; where they lie in a file, no more is read than is asked for.
        cuts: by the new names.
    """

    def __init__(self, whole: Mapping[str, Tensor], cuts: Mapping[str, Cut]) -> None:
        self._tensors, self._cuts = whole, dict(cuts)

    def __getitem__(self, name: str) -> Tensor:
        parts = list(self.parts(name))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cuts)

    def __len__(self) -> int:
        return len(self._cuts)

    def __contains__(self, name: object) -> bool:
        return name in self._cuts

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's lengths; nothing is read."""
        cut = self._cuts[name]
        shape = self._shape(cut.name)
        return tuple(len(cut.kept[axis]) if axis in cut.kept else length for axis, length in enumerate(shape))

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor; nothing is read."""
        own = self._cuts[name].name
        return self._tensors.dtype(own) if isinstance(self._tensors, TensorMap) else self._tensors[own].dtype

    def frame(self, name: str) -> Tensor:
        """A tensor of the same shape and dtype without data; nothing is read."""
        return torch.empty(self.shape(name), dtype=self.dtype(name), device="meta")

    def parts(self, name: str, rows: int | None = None) -> Iterator[Tensor]:
        """The tensor's rows in their order, some at a time."""
        shape = self.shape(name)
        if not shape or 0 in shape:
            yield self._taken(name, None)
            return
        width = max(1, self._shape(self._cuts[name].name)[1:].numel())
        for some in torch.arange(shape[0]).split(rows or max(1, _PART // width)):
            yield self._taken(name, some)

    def rows(self, name: str, indices: Tensor) -> Tensor:
        """The rows of these indices, in their order.

        Raises:
            IndexError: there is no such row.
        """
        shape = self.shape(name)
        if indices.ndim != 1 or not shape:
            raise IndexError(f"rows of {name!r}: the tensor and the indices need an axis, and the indices no other")
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < shape[0]:
            raise IndexError(f"rows of {name!r}: an index beyond its {shape[0]} rows")
        return self._taken(name, indices)

    def require_finite(self, name: str) -> None:
        """Read a tensor, for its numbers alone."""
        for _ in self.parts(name):
            pass

    def _shape(self, name: str) -> torch.Size:
        whole = self._tensors
        return torch.Size(whole.shape(name) if isinstance(whole, TensorMap) else whole[name].shape)

    def _taken(self, name: str, some: Tensor | None) -> Tensor:
        """The rows of some indices; None for the whole tensor."""
        cut, whole = self._cuts[name], self._tensors
        if some is None:
            found = whole[cut.name]
        else:
            own = cut.kept[0][some] if 0 in cut.kept else some
            found = whole.rows(cut.name, own) if isinstance(whole, TensorMap) else whole[cut.name][own]
        for axis, kept in cut.kept.items():
            if axis or some is None:
                found = found.index_select(axis, kept)
        if cut.factors is not None:
            found = (found.double() * cut.factors.view(-1, *[1] * (found.ndim - 2))).to(found.dtype)
        return found
