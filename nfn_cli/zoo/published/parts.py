"""Write imported networks as a packed zoo: parts of bounded size, then `zoo.yaml` and `labels.csv`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.zoo.labels import LABELS_FILE, write_table
from nfn_cli.zoo.published.imported import ImportedNetwork
from nfn_cli.zoo.record import SETTINGS_FILE, write_origin

_MOST_NETWORKS = 4_096
_MOST_BYTES = 1 << 26
_FIGURES = ("test_loss", "train_accuracy", "train_loss", "validation_accuracy")


class PartWriter:
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    A context manager: whatever ends the work before `finish` leaves nothing behind.

    Args:
        folder: of the zoo; a new or empty one.
        metadata: of every part, such as the activation.

    Raises:
        DataError: the folder holds something.
    """

    def __init__(self, folder: Path, metadata: Mapping[str, str]) -> None:
        require_free(folder)
        self._folder = folder
        self._metadata = dict(metadata)
        self._made = False
        self._parts: list[str] = []
        self._written: list[tuple[int, int, ImportedNetwork]] = []  # part, place in it
        self._waiting: list[ImportedNetwork] = []
        self._tensors: dict[str, list[Tensor]] = {}
        self._finished = False

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._finished:
            return
        for name in (*self._parts, SETTINGS_FILE, LABELS_FILE):
            (self._folder / name).unlink(missing_ok=True)
        if self._made:
            with suppress(OSError):
                self._folder.rmdir()

    @property
    def networks(self) -> int:
        """Taken so far."""
        return len(self._written) + len(self._waiting)

    def add(self, tensors: Mapping[str, Tensor], networks: Sequence[ImportedNetwork]) -> None:
        """Take networks, tensors [len(networks), *shape] each, always of the same names and shapes.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        for name, tensor in tensors.items():
            self._tensors.setdefault(name, []).append(tensor)
        self._waiting += networks
        most = self._most()
        while len(self._waiting) >= most:
            self._write(most)

    def finish(self, origin: Mapping[str, Any]) -> tuple[int, int]:
        """Write what waits, then `zoo.yaml` from `origin`, then `labels.csv`.

        Returns:
            How many networks of how many runs the zoo holds.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        if self._waiting:
            self._write(len(self._waiting))
        runs = {network.run.name for _, _, network in self._written}
        write_origin(self._folder, {**origin, "networks": len(self._written), "runs": len(runs)})
        # The labels come last: a folder that has them is complete.
        write_table(self._folder, self._columns(), self._rows())
        self._finished = True
        return len(self._written), len(runs)

    def _most(self) -> int:
        """Networks in a part."""
        size = sum(math.prod(values[0].shape[1:]) * values[0].element_size() for values in self._tensors.values())
        return max(1, min(_MOST_NETWORKS, _MOST_BYTES // max(size, 1)))

    def _write(self, count: int) -> None:
        """Write a part of the first `count` networks that wait."""
        if not self._made:
            self._make_folder()
        part = len(self._parts)
        self._parts.append(f"part-{part:05d}.safetensors")
        tensors = {name: torch.cat(values) for name, values in self._tensors.items()}
        save_tensors(
            self._folder / self._parts[-1],
            {name: tensor[:count] for name, tensor in tensors.items()},
            self._metadata | {POPULATION_KEY: str(count)},
        )
        self._written += [(part, place, network) for place, network in enumerate(self._waiting[:count])]
        self._waiting = self._waiting[count:]
        self._tensors = {name: [tensor[count:].clone()] for name, tensor in tensors.items()}

    def _make_folder(self) -> None:
        there = os.path.isdir(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cause = f"cannot be made a folder ({error.strerror})"
            raise DataError(self._folder, cause, "choose another place") from error
        self._made = not there

    def _columns(self) -> list[str]:
        """Those of a trained zoo, then what else is told; none that would be empty."""
        networks = [network for _, _, network in self._written]
        figures = [name for name in _FIGURES if any(getattr(network, name) is not None for network in networks)]
        told = dict.fromkeys(name for network in networks for name in network.run.hyperparameters)
        return ["file", "index", "epoch", "test_accuracy", *figures, "run", "activation", *told]

    def _rows(self) -> Iterator[dict[str, object]]:
        for part, place, network in self._written:
            row: dict[str, object] = {"file": self._parts[part], "index": place, "epoch": network.epoch}
            row |= {"test_accuracy": network.test_accuracy, "run": network.run.name}
            for name in _FIGURES:
                if (figure := getattr(network, name)) is not None:
                    row[name] = figure
            yield row | {"activation": network.run.activation} | dict(network.run.hyperparameters)


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
