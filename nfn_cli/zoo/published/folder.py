"""The folder of an imported zoo: parts, then `zoo.yaml`, then the labels; whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.folders import make_folder
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.record import SETTINGS_FILE, part_name, write_origin

MOST_NETWORKS = 4_096  # in a part

Self = TypeVar("Self", bound="PartFolder")


class PartFolder:
    """A context manager: whatever ends the work before `complete` leaves nothing behind.

    Args:
        folder: of the zoo; a new or empty one.

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
        self._made: list[Path] = []
        self._complete = False

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._complete:
            return
        for name in (*self.parts, SETTINGS_FILE, LABELS_FILE):
            (self.folder / name).unlink(missing_ok=True)
        for made in self._made:
            with suppress(OSError):
                made.rmdir()

    def write_part(self, tensors: Mapping[str, Tensor], count: int, metadata: Mapping[str, str]) -> str:
        """Write a packed file of `count` networks, tensors [count, *shape]; returns its name.

        Raises:
            DataError, CheckpointError: it cannot be written.
        """
        if not self.parts:
            self._make_folder()
        name = part_name(len(self.parts))
        self.parts.append(name)
        save_tensors(self.folder / name, tensors, {**metadata, POPULATION_KEY: str(count)})
        return name

    def complete(self, origin: Mapping[str, Any], write_labels: Callable[[], object]) -> None:
        """Write `zoo.yaml` from `origin`, then the labels, which come last: a folder that has them is complete.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        write_origin(self.folder, origin)
        write_labels()
        self._complete = True

    def _make_folder(self) -> None:
        self._made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        make_folder(self.folder)


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
