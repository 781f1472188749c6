"""The folder of an imported zoo: parts, then `zoo.yaml`, then the labels; whole, or nothing in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, require_writable, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.folders import claimed
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.record import SETTINGS_FILE, part_name, write_origin

MOST_NETWORKS = 4_096  # in a part

Self = TypeVar("Self", bound="PartFolder")


class PartFolder:
    """A context manager: whatever ends the work before `complete` removes what it has written, and nothing else.

    Args:
        folder: of the zoo; an empty one, see `claimed_zoo`.

    Attributes:
        folder: as given.
        parts: names of the parts that are written.

    Raises:
        DataError: the folder holds something.
    """

    def __init__(self, folder: Path) -> None:
        require_free(folder)
        self.folder = folder
        self.parts: list[str] = []
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
