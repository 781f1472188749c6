"""Write imported networks as a packed zoo, in parts of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.zoo.labels import write_table
from nfn_cli.zoo.published.folder import MOST_NETWORKS, PartFolder
from nfn_cli.zoo.published.imported import ImportedNetwork

_MOST_BYTES = 1 << 26
_FIGURES = ("test_loss", "train_accuracy", "train_loss", "validation_accuracy")


class PartWriter(PartFolder):
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    Args:
        folder: as in `PartFolder`.
        metadata: of every part, such as the activation.
    """

    def __init__(self, folder: Path, metadata: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._metadata = dict(metadata)
        self._written: list[tuple[str, int, ImportedNetwork]] = []  # part, place in it
        self._waiting: list[ImportedNetwork] = []
        self._tensors: dict[str, list[Tensor]] = {}

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
        self.complete(
            {**origin, "networks": len(self._written), "runs": len(runs)},
            lambda: write_table(self.folder, self._columns(), self._rows()),
        )
        return len(self._written), len(runs)

    def _most(self) -> int:
        """Networks in a part."""
        size = sum(math.prod(values[0].shape[1:]) * values[0].element_size() for values in self._tensors.values())
        return max(1, min(MOST_NETWORKS, _MOST_BYTES // max(size, 1)))

    def _write(self, count: int) -> None:
        """Write a part of the first `count` networks that wait."""
        tensors = {name: torch.cat(values) for name, values in self._tensors.items()}
        part = self.write_part({name: tensor[:count] for name, tensor in tensors.items()}, count, self._metadata)
        self._written += [(part, place, network) for place, network in enumerate(self._waiting[:count])]
        self._waiting = self._waiting[count:]
        self._tensors = {name: [tensor[count:].clone()] for name, tensor in tensors.items()}

    def _columns(self) -> list[str]:
        """Those of a trained zoo, then what else is told; none that would be empty."""
        networks = [network for _, _, network in self._written]
        figures = [name for name in _FIGURES if any(getattr(network, name) is not None for network in networks)]
        told = dict.fromkeys(name for network in networks for name in network.run.hyperparameters)
        return ["file", "index", "epoch", "test_accuracy", *figures, "run", "activation", *told]

    def _rows(self) -> Iterator[dict[str, object]]:
        for part, place, network in self._written:
            row: dict[str, object] = {"file": part, "index": place, "epoch": network.epoch}
            row |= {"test_accuracy": network.test_accuracy, "run": network.run.name}
            for name in _FIGURES:
                if (figure := getattr(network, name)) is not None:
                    row[name] = figure
            yield row | {"activation": network.run.activation} | dict(network.run.hyperparameters)
