"""The tensors of a checkpoint that stay in their files until one is asked for, and are not kept then."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.checkpoints.replacement import Stamped, changed_since, stamp
from nfn_cli.checkpoints.tensors_in_parts import PartedTensors
from nfn_cli.checkpoints.validate import require_finite
from nfn_cli.errors import CheckpointError

# Bytes that are in memory at once where a tensor is read in parts.
_PART = 1 << 23
# Of the rows between the first and the last that are wanted: where fewer are, each is read by itself.
_DENSE = 1 / 8


@dataclass(frozen=True)
class Place:
    """Where a tensor's entries are.

    Attributes:
        file: the file that holds them.
        start: of the first entry, in bytes from the file's beginning.
        shape: its lengths.
        stride: steps between entries, in entries.
        dtype: of the entries, in this machine's order of bytes.
    """

    file: Path
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def dense(self) -> bool:
        """Whether the entries follow each other as in a new tensor."""
        step = 1
        for length, own in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if length != 1 and own != step:
                return False
            step *= length
        return True


def placed(file: Path, start: int, tensor: Tensor) -> Place:
    """The place of a tensor whose first entry is at `start` in a file."""
    return Place(file, start, tuple(tensor.shape), tensor.stride(), tensor.dtype)


class TensorMap(PartedTensors):
    """Tensors by name. Shapes and dtypes are known; entries are read when asked for, checked, and not kept.

    Reading goes into memory of its own, never through a map of the file: what is let go leaves nothing behind, and a
    file that somebody cuts short is an error and not the end of the process.

    Raises:
        CheckpointError: on reading: an entry is NaN or Inf, or the file is no longer the one that was opened.
    """

    def __init__(self, path: Path, places: Mapping[str, Place | Tensor], files: Iterable[Stamped]) -> None:
        """
        Args:
            path: the file that errors about numbers name.
            places: where each tensor is; or the tensor itself, where it cannot be read by itself.
            files: what the files were like before anything was read from them.
        """
        self._path = path
        self._places = dict(places)
        self._stamps = dict(files)

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._whole(self._places[name])
        self._require_finite(name, tensor)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's lengths; nothing is read."""
        return tuple(self._places[name].shape)

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor; nothing is read."""
        return self._places[name].dtype

    def frame(self, name: str) -> Tensor:
        """A tensor of the same shape and dtype without data (on the meta device); nothing is read."""
        return torch.empty(self.shape(name), dtype=self.dtype(name), device="meta")

    def parts(self, name: str, rows: int | None = None) -> Iterator[Tensor]:
        """The tensor's rows in their order, each part in memory of its own.

        Args:
            rows: how many at a time; as many as are 8 MiB, and at least one, if not given. A tensor without axes comes
                in one part, and so does one that is empty.
        """
        place = self._places[name]
        shape = place.shape
        if not shape or 0 in shape:
            yield self[name]
            return
        whole = None if isinstance(place, Place) and place.dense else self._whole(place)
        count = rows or self._rows_of_part(name)
        for start in range(0, shape[0], count):
            stop = min(start + count, shape[0])
            part = whole[start:stop].clone() if whole is not None else self._rows(place, start, stop)
            self._require_finite(name, part)
            yield part
            del part

    def rows(self, name: str, indices: Tensor) -> Tensor:
        """The rows of these indices, in their order: all of them permuted, some, or some repeatedly.

        The file is read forward, once; besides the result no more than a part is in memory.

        Args:
            indices: whole numbers from 0 to below the length of the first axis; one axis.

        Raises:
            IndexError: there is no such row.
        """
        place = self._places[name]
        if indices.ndim != 1 or not place.shape:
            raise IndexError(f"rows of {name!r}: the tensor and the indices need an axis, and the indices no other")
        length = place.shape[0]
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < length:
            raise IndexError(f"rows of {name!r}: an index beyond its {length} rows")
        if not (isinstance(place, Place) and place.dense) or 0 in place.shape:
            found = self._whole(place)[indices]
        else:
            found = torch.empty((len(indices), *place.shape[1:]), dtype=place.dtype)
            wanted, order = torch.sort(indices)
            self._gather(place, wanted, order, found, self._rows_of_part(name))
        self._require_finite(name, found)
        return found

    def require_finite(self, name: str) -> None:
        """Read a tensor in parts, for its numbers alone."""
        if self.dtype(name).is_floating_point:
            for _ in self.parts(name):
                pass

    def _rows_of_part(self, name: str) -> int:
        shape = self.shape(name)
        return max(1, _PART // max(1, math.prod(shape[1:]) * self.dtype(name).itemsize))

    def _gather(self, place: Place, wanted: Tensor, order: Tensor, found: Tensor, count: int) -> None:
        """Fill `found[order]` with the rows `wanted`, which are sorted."""
        at = 0
        with self._opened(place.file) as file:
            while at < len(wanted):
                first = int(wanted[at])
                until = int(torch.searchsorted(wanted, first + count))
                own, last = wanted[at:until], int(wanted[until - 1])
                if len(own) > _DENSE * (last + 1 - first):
                    found[order[at:until]] = self._read_rows(file, place, first, last + 1)[own - first]
                else:
                    for row, to in zip(own.tolist(), order[at:until].tolist(), strict=True):
                        self._fill(file, place, row, found[to : to + 1])
                at = until

    def _require_finite(self, name: str, read: Tensor) -> None:
        require_finite(self._path, name, read, math.prod(self.shape(name)), partial(self._unchecked, name))

    def _unchecked(self, name: str) -> Iterator[Tensor]:
        place = self._places[name]
        if not (isinstance(place, Place) and place.dense and place.shape):
            yield self._whole(place)
            return
        count = self._rows_of_part(name)
        for start in range(0, place.shape[0], count):
            yield self._rows(place, start, min(start + count, place.shape[0]))

    def _whole(self, place: Place | Tensor) -> Tensor:
        if isinstance(place, Tensor):
            return place
        if 0 in place.shape:
            return torch.empty(place.shape, dtype=place.dtype)
        if place.dense:
            tensor = torch.empty(place.shape, dtype=place.dtype)
            with self._opened(place.file) as file:
                self._fill(file, place, 0, tensor)
            return tensor
        last = sum((length - 1) * step for length, step in zip(place.shape, place.stride, strict=True))
        span = Place(place.file, place.start, (last + 1,), (1,), place.dtype)
        return self._whole(span).as_strided(place.shape, place.stride).contiguous()

    def _rows(self, place: Place | Tensor, start: int, stop: int) -> Tensor:
        assert isinstance(place, Place)
        with self._opened(place.file) as file:
            return self._read_rows(file, place, start, stop)

    def _read_rows(self, file: FileIO, place: Place, start: int, stop: int) -> Tensor:
        part = torch.empty((stop - start, *place.shape[1:]), dtype=place.dtype)
        self._fill(file, place, start, part)
        return part

    def _fill(self, file: FileIO, place: Place, row: int, target: Tensor) -> None:
        """Read into a tensor what is in the file from this row on."""
        file.seek(place.start + row * math.prod(place.shape[1:]) * place.dtype.itemsize)
        left = target.reshape(-1).view(torch.uint8).numpy().data
        while len(left):
            read = file.readinto(left)
            if not read:
                raise changed_since(place.file)
            left = left[read:]

    @contextmanager
    def _opened(self, path: Path) -> Iterator[FileIO]:
        """The file, if it is still the one that was opened first, and is not written to while it is open."""
        try:
            with path.open("rb", buffering=0) as file:
                self._require_same(path, file)
                yield file
                self._require_same(path, file)
        except FileNotFoundError as error:
            raise changed_since(path) from error
        except OSError as error:
            raise CheckpointError(path, f"cannot be read ({error.strerror})", "check the file and its disk") from error

    def _require_same(self, path: Path, file: FileIO) -> None:
        if stamp(os.fstat(file.fileno())) != self._stamps[path]:
            raise changed_since(path)
