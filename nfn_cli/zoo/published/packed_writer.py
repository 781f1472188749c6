"""Write an imported zoo: packed parts of bounded size, then `zoo.yaml`, then the labels; all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, require_writable, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.folders import claimed
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.network_files import part_name
from nfn_cli.zoo.record import SETTINGS_FILE, write_origin

MOST_NETWORKS = 4_096  # in a part
_MOST_BYTES = 1 << 26

Entry = TypeVar("Entry")
Self = TypeVar("Self", bound="PackedWriter[Any]")


class PackedWriter(Generic[Entry]):
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    A context manager: whatever ends the work before `complete` removes what it has written, and nothing else.

    Args:
        folder: of the zoo; an empty one, see `claimed_zoo`.
        metadata: of every part, such as the activation.

    Attributes:
        folder, metadata: as given.
        parts: names of the parts that are written.
        written: the networks in them: part, place in it, and what is known of it.

    Raises:
        DataError: the folder holds something.
    """

    def __init__(self, folder: Path, metadata: Mapping[str, str] | None = None) -> None:
        require_free(folder)
        self.folder = folder
        self.metadata = dict(metadata or {})
        self.parts: list[str] = []
        self.written: list[tuple[str, int, Entry]] = []
        self._waiting: list[Entry] = []
        self._tensors: dict[str, list[Tensor]] = {}
        self._records: list[str] = []
        self._complete = False

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._complete:
            return
        for name in (*self.parts, *self._records):
            (self.folder / name).unlink(missing_ok=True)

    def __len__(self) -> int:
        """Networks taken so far."""
        return len(self.written) + len(self._waiting)

    def add(self, tensors: Mapping[str, Tensor], entries: Sequence[Entry]) -> None:
        """Take networks, tensors [len(entries), *shape] each, always of the same names and shapes.

        Args:
            entries: what is known of each.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        for name, tensor in tensors.items():
            self._tensors.setdefault(name, []).append(tensor)
        self._waiting += entries
        shapes = [(values[0].shape[1:].numel(), values[0].element_size()) for values in self._tensors.values()]
        numbers, size = sum(count for count, _ in shapes), sum(count * each for count, each in shapes)
        most = max(1, min(MOST_NETWORKS, self.fitting(numbers, size)))
        while len(self._waiting) >= most:
            self._write(most)

    def fitting(self, numbers: int, size: int) -> int:
        """How many networks of so many numbers, of `size` bytes, make a part of bounded size."""
        return _MOST_BYTES // max(size, 1)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        if self._waiting:
            self._write(len(self._waiting))

    def _write(self, count: int) -> None:
        """Write a part of the first `count` networks that wait."""
        tensors = {name: torch.cat(values) for name, values in self._tensors.items()}
        part = self.write_part({name: tensor[:count] for name, tensor in tensors.items()}, count, self.metadata)
        self.written += [(part, place, entry) for place, entry in enumerate(self._waiting[:count])]
        self._waiting = self._waiting[count:]
        self._tensors = {name: [tensor[count:].clone()] for name, tensor in tensors.items()}

    def write_part(self, tensors: Mapping[str, Tensor], count: int, metadata: Mapping[str, str]) -> str:
        """Write a packed file of `count` networks, tensors [count, *shape]; returns its name.

        Raises:
            DataError, CheckpointError: it cannot be written.
        """
        name = part_name(len(self.parts))
        save_tensors(self.folder / name, tensors, {**metadata, POPULATION_KEY: str(count)})
        self.parts.append(name)  # only now: another's part is not ours to remove
        return name

    def complete(self, origin: Mapping[str, Any], write_labels: Callable[[], object]) -> None:
        """Write `zoo.yaml` from `origin`, then the labels, which come last: a folder that has them is complete.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        for name in (SETTINGS_FILE, LABELS_FILE):
            require_writable(self.folder / name, overwrite=False)
        self._records.append(SETTINGS_FILE)
        write_origin(self.folder, origin)
        self._records.append(LABELS_FILE)
        write_labels()
        self._complete = True


@contextmanager
def claimed_zoo(folder: Path) -> Iterator[None]:
    """Make the folder of a zoo to write, and hold it: a second import is refused at its start.

    Raises:
        DataError: another run holds it, it is a file, or holds something.
    """
    require_free(folder)
    with claimed(folder):
        require_free(folder)
        yield


def require_free(folder: Path) -> None:
    """Check, before long work, that a zoo can be written to a folder.

    Raises:
        DataError: it is a file, or holds something.
    """
    try:
        held = [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(folder, f"is no folder that can be written to ({error.strerror})", "choose another") from error
    if held:
        raise DataError(folder, "holds something already", "choose an empty folder or a new one")
