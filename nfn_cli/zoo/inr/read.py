"""Read a zoo of INRs: networks with the classes of their pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.points import confined, read_points, selected


@dataclass(frozen=True)
class LabelledInrs:
    """N INRs of one architecture, and what is known of each."""

    point: NetworkWeights  # tensors float32 or float64 [N, *shape]
    rows: tuple[InrRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Tensor:
        """Classes, int64 [N]."""
        return torch.tensor([row.label for row in self.rows])

    def select(self, indices: Sequence[int]) -> LabelledInrs:
        """The networks at these positions, in their order."""
        return LabelledInrs(selected(self.point, indices), tuple(self.rows[i] for i in indices))

    def part(self, split: str) -> LabelledInrs:
        """The networks of one split, "train" or "test"."""
        return self.select([place for place, row in enumerate(self.rows) if row.split == split])

    def first(self, count: int | None) -> LabelledInrs:
        """As many of the networks, or all there are; None takes all."""
        return self.select(range(len(self))[:count])


def read_inrs(data: Path, labels: Path | None = None, *, activation: str | None = None) -> LabelledInrs:
    """Read the networks that a CSV file lists.

    Args:
        data: a folder of INRs.
        labels: the CSV file with the columns `file` and `label`; by default `labels.csv` in the folder.
        activation: of all networks, over what their files say.

    Raises:
        DataError: labels or data are unusable, or the networks are of several architectures.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    if not os.path.isdir(data):
        raise DataError(data, "no such folder", "give a zoo of INRs")
    table = labels or data / LABELS_FILE
    rows = read_inr_rows(table)
    point = read_points(rows, lambda name: confined(data, name, table), activation=activation, default_activation="sin")
    return LabelledInrs(point, tuple(rows))
