"""Read labelled networks: a zoo, packed or not, or a user's own folder of checkpoints with a CSV file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.checkpoints import find_checkpoints, population_of
from nfn_cli.errors import DataError
from nfn_cli.zoo.labels import ACCURACY_COLUMN, LABELS_FILE, RUN_COLUMN, Label, read_labels
from nfn_cli.zoo.listed_networks import confined, read_listed, selected


@dataclass(frozen=True)
class LabelledNetworks:
    """N networks of one architecture, and what is known of each.

    Attributes:
        point: tensors float32 or float64 [N, *shape].
        targets: accuracies float64 [N], NaN where they are not known, or classes int64 [N].
        runs: the training run of each, or the picture that it represents: no split parts those of one run.
        files: where each is, as its table lists it.
        splits: the part that the table puts each into, such as "test"; empty where it says nothing.
        halves: accuracies on two halves of the test images, float64 [N, 2]; None unless they are known of all.
    """

    point: NetworkWeights
    targets: Tensor
    runs: tuple[str, ...]
    files: tuple[str, ...]
    splits: tuple[str, ...]
    halves: Tensor | None = None

    def __len__(self) -> int:
        return len(self.runs)

    def select(self, indices: Sequence[int]) -> LabelledNetworks:
        """The networks at these positions, in their order."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        return LabelledNetworks(
            selected(self.point, indices),
            self.targets[chosen],
            runs=tuple(self.runs[i] for i in indices),
            files=tuple(self.files[i] for i in indices),
            splits=tuple(self.splits[i] for i in indices),
            halves=None if self.halves is None else self.halves[chosen],
        )

    def part(self, split: str) -> LabelledNetworks:
        """The networks that their table puts into a part, such as "test"."""
        return self.select([position for position, own in enumerate(self.splits) if own == split])

    def first(self, count: int | None) -> LabelledNetworks:
        """As many of the networks, or all there are; None takes all."""
        return self.select(range(len(self))[:count])


def read_networks(
    data: Path,
    labels: Path | None = None,
    *,
    column: str = ACCURACY_COLUMN,
    run_column: str = RUN_COLUMN,
    unique: bool = False,
    activation: str | None = None,
    default_activation: str | None = None,
) -> LabelledNetworks:
    """Read the checkpoints that a CSV file lists.

    Args:
        data: a folder of checkpoints or packed files, or one packed file.
        labels: the CSV file; by default `labels.csv` in the folder (or beside the packed file).
        column: the column that holds the accuracy.
        run_column: the column that names the training run.
        unique: refuse a network that is listed twice.
        activation: of all networks, over what their files say.
        default_activation: where neither `activation` nor the files say it.

    Raises:
        DataError: labels or data are unusable, or the networks are of several architectures.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    if not os.path.exists(data):
        raise DataError(data, "no such file or folder", "give a zoo, or a folder of checkpoints")
    folder = data if os.path.isdir(data) else data.parent
    table = labels or folder / LABELS_FILE
    if labels is None and folder != data and not os.path.exists(table):
        raise DataError(data, f"no labels of it in {table}", "give a folder of checkpoints, and its CSV by --labels")
    rows = read_labels(table, column, run_column, unique=unique)
    if not os.path.isdir(data):
        rows = [row for row in rows if _is_file(row.file, data, table)]
        if not rows:
            raise DataError(data, f"{table} has no row for this file", "give the CSV of this file")
    path_of = partial(confined, folder, table=table) if os.path.isdir(data) else lambda name: data
    return read_labelled(rows, path_of, activation=activation, default_activation=default_activation)


def read_unlabelled(
    data: Path, *, activation: str | None = None, default_activation: str | None = None
) -> LabelledNetworks:
    """Read all checkpoints of a folder, packed or not, of which no more is known: accuracies are NaN, and every
    network is a run of its own.

    Args:
        data: a folder, walked with its subfolders, or a file.
        activation, default_activation: as in `read_networks`.

    Raises:
        DataError: no such folder, or networks of several architectures.
        CheckpointError, ArchitectureError: no checkpoint, or one that cannot be read.
    """
    if not os.path.exists(data):
        raise DataError(data, "no such file or folder", "give a zoo, or a folder of checkpoints")
    rows: list[Label] = []
    for path in find_checkpoints([data]):
        count = population_of(path)
        if count is None:
            rows.append(Label(str(path), None, str(path), math.nan))
        rows += [Label(str(path), index, f"{path}:{index}", math.nan) for index in range(count or 0)]
    return read_labelled(rows, Path, activation=activation, default_activation=default_activation)


def read_labelled(
    rows: Sequence[Label],
    path_of: Callable[[str], Path],
    *,
    dtype: torch.dtype = torch.float64,
    activation: str | None = None,
    default_activation: str | None = None,
) -> LabelledNetworks:
    """The networks of some rows, in their order.

    Args:
        rows, path_of, activation, default_activation: as in `read_listed`.
        dtype: of the targets.

    Raises:
        DataError, CheckpointError, ArchitectureError: as in `read_listed`.
    """
    halves = [row.halves for row in rows if row.halves is not None]
    return LabelledNetworks(
        read_listed(rows, path_of, activation, default_activation),
        torch.tensor([row.target for row in rows], dtype=dtype),
        runs=tuple(row.run for row in rows),
        files=tuple(row.file for row in rows),
        splits=tuple(row.split for row in rows),
        halves=torch.tensor(halves, dtype=torch.float64) if len(halves) == len(rows) else None,
    )


def _is_file(name: str, data: Path, table: Path) -> bool:
    """Whether a row means the one file that was given: by its path from the table's folder, or by its bare name."""
    return name == data.name or (table.parent / name).resolve() == data.resolve()
