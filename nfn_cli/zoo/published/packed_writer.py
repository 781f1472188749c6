"""Write an imported zoo: packed parts of bounded size, then `zoo.yaml`, then the labels; all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
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


def _in_part(numbers: int, size: int) -> int:
    return _MOST_BYTES // max(size, 1)


class PackedWriter(Generic[Entry]):
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    Args:
        folder: of the zoo; an empty one, see `imported_zoo`.
        in_part: how many networks of so many numbers, of so many bytes, make a part of bounded size.

    Attributes:
        folder: as given.
        metadata: of every part, such as the activation.
        files: names of the files that it has written, the parts first.
        written: the networks in them: part, position in it, and what is known of it.
        is_complete: whether the zoo is.
    """

    def __init__(self, folder: Path, in_part: Callable[[int, int], int] = _in_part) -> None:
        self.folder = folder
        self.metadata: dict[str, str] = {}
        self.files: list[str] = []
        self.written: list[tuple[str, int, Entry]] = []
        self.is_complete = False
        self._in_part = in_part
        self._waiting: list[Entry] = []
        self._tensors: dict[str, list[Tensor]] = {}

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
        most = max(1, min(MOST_NETWORKS, self._in_part(numbers, size)))
        while len(self._waiting) >= most:
            self._write(most)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        if self._waiting:
            self._write(len(self._waiting))

    def _write(self, count: int) -> None:
        """Write a part of the first `count` networks that wait."""
        part = part_name(len(self.files))
        tensors = {name: torch.cat(values) for name, values in self._tensors.items()}
        first = {name: tensor[:count] for name, tensor in tensors.items()}
        save_tensors(self.folder / part, first, {**self.metadata, POPULATION_KEY: str(count)})
        self.files.append(part)  # only now: another's part is not ours to remove
        self.written += [(part, position, entry) for position, entry in enumerate(self._waiting[:count])]
        self._waiting = self._waiting[count:]
        self._tensors = {name: [tensor[count:].clone()] for name, tensor in tensors.items()}

    def complete(self, origin: Mapping[str, Any], write_labels: Callable[[], object]) -> None:
        """Write `zoo.yaml` from `origin`, then the labels, which come last: a folder that has them is complete.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        for name in (SETTINGS_FILE, LABELS_FILE):
            require_writable(self.folder / name, overwrite=False)
        self.files.append(SETTINGS_FILE)
        write_origin(self.folder, origin)
        self.files.append(LABELS_FILE)
        write_labels()
        self.is_complete = True


@contextmanager
def imported_zoo(folder: Path, in_part: Callable[[int, int], int] = _in_part) -> Iterator[PackedWriter[Any]]:
    """Make the folder of a zoo, hold it, and give its writer: a second import is refused at its start.

    Whatever ends the work before the writer's `complete` removes what it has written, and nothing else.

    Args:
        in_part: as in `PackedWriter`.

    Raises:
        DataError: another run holds it, it is a file, or holds something.
    """
    require_free(folder)
    with claimed(folder):
        require_free(folder)
        writer: PackedWriter[Any] = PackedWriter(folder, in_part)
        try:
            yield writer
        finally:
            for name in () if writer.is_complete else writer.files:
                (folder / name).unlink(missing_ok=True)


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
