"""Read labelled networks: a zoo, packed or not, or a user's own folder of checkpoints with a CSV file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nfn_cli.architectures import WeightSpace, read_weight_space, stack
from nfn_cli.checkpoints import POPULATION_KEY, Checkpoint, find_checkpoints, read_checkpoint
from nfn_cli.errors import DataError
from nfn_cli.zoo.labels import LABELS_FILE, RUN_COLUMN, Label, read_labels


@dataclass(frozen=True)
class LabelledNetworks:
    """N networks of one architecture with their accuracies."""

    point: WeightSpace  # tensors float32 or float64 [N, *shape]
    accuracies: Tensor  # float64 [N]
    runs: tuple[str, ...]  # the training run of each; equal for checkpoints of one run
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def select(self, indices: Sequence[int]) -> LabelledNetworks:
        """The networks at these positions, in their order."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        return LabelledNetworks(
            _selected(self.point, indices),
            self.accuracies[chosen],
            tuple(self.runs[i] for i in indices),
            tuple(self.files[i] for i in indices),
        )


def read_networks(
    data: Path,
    labels: Path | None = None,
    *,
    column: str = "test_accuracy",
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
        default_activation: where neither `activation` nor the files tell it.

    Raises:
        DataError: labels or data are unusable, or the networks are of several architectures.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    if not os.path.exists(data):
        raise DataError(data, "no such file or folder", "give a zoo, or a folder of checkpoints")
    folder = data if os.path.isdir(data) else data.parent
    table = labels or folder / LABELS_FILE
    rows = read_labels(table, column, run_column, unique=unique)
    if not os.path.isdir(data):
        rows = [row for row in rows if _is_file(row.file, data, table)]
        if not rows:
            raise DataError(data, f"{table} has no row for this file", "give the CSV of this file")
    return _read_rows(
        rows,
        lambda name: _confined(folder, name, table) if os.path.isdir(data) else data,
        activation,
        default_activation,
    )


def read_unlabelled(
    data: Path, *, activation: str | None = None, default_activation: str | None = None
) -> LabelledNetworks:
    """Read all checkpoints of a folder, packed or not, of which nobody knows more: accuracies are NaN, and every
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
        count = _population_of(path)
        if count is None:
            rows.append(Label(str(path), None, str(path), math.nan))
        rows += [Label(str(path), index, f"{path}:{index}", math.nan) for index in range(count or 0)]
    return _read_rows(rows, Path, activation, default_activation)


def _population_of(path: Path) -> int | None:
    """How many networks a packed file holds, None for a single checkpoint; a damaged file is left to its reader."""
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {})[POPULATION_KEY])
    except (KeyError, ValueError, OSError, SafetensorError):
        return None


def _read_rows(
    rows: Sequence[Label], path_of: Callable[[str], Path], activation: str | None, default_activation: str | None
) -> LabelledNetworks:
    by_file: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_file.setdefault(row.file, []).append(position)
    points: list[WeightSpace] = []
    order: list[int] = []
    for name, positions in by_file.items():
        members = [rows[position] for position in positions]
        points.append(_read_members(path_of(name), members, activation, default_activation))
        order += positions
    point = _joined(points, list(by_file))
    return LabelledNetworks(
        _selected(point, torch.tensor(order).argsort().tolist()),
        torch.tensor([row.accuracy for row in rows], dtype=torch.float64),
        tuple(row.run for row in rows),
        tuple(row.file for row in rows),
    )


def _is_file(name: str, data: Path, table: Path) -> bool:
    """Whether a row means the one file that was given: by its path from the table's folder, or by its bare name."""
    return name == data.name or (table.parent / name).resolve() == data.resolve()


def _confined(folder: Path, name: str, table: Path) -> Path:
    """The listed file: by its path from the folder, or else from the table's own folder."""
    path = folder / name
    if not os.path.exists(path) and os.path.exists(table.parent / name):
        path = table.parent / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(name, f"the labels point outside {folder}", "list files by their path inside the folder")
    return path


def _read_members(
    path: Path, members: Sequence[Label], activation: str | None, default_activation: str | None
) -> WeightSpace:
    """The members of one file, [len(members), *shape]."""
    indices = [member.index for member in members if member.index is not None]
    if not indices:
        read = read_weight_space(
            read_checkpoint(path), activation=activation, default_activation=default_activation
        ).weight_space
        return _selected(stack([read]), [0] * len(members))
    count, metadata, tensors = _read_packed(path)
    if len(indices) < len(members) or not all(0 <= index < count for index in indices):
        raise DataError(path, f"the labels give an index outside 0 ... {count - 1}", "write the labels anew")
    first = Checkpoint(path, "safetensors", {name: tensor[0] for name, tensor in tensors.items()}, metadata, False)
    architecture = read_weight_space(
        first, activation=activation, default_activation=default_activation
    ).weight_space.architecture
    if {spec.name for spec in architecture.tensors} != set(tensors):
        raise DataError(
            path, "its members need conversion (folded layers or missing biases)", "store one file a network"
        )
    chosen = torch.tensor(indices)
    selected = {spec.name: tensors[spec.name][chosen] for spec in architecture.tensors}
    broken = [name for name, tensor in selected.items() if not tensor.isfinite().all()]
    if broken:
        raise DataError(path, f"tensor {broken[0]!r} of some member is not finite", "remove the rows of that member")
    return WeightSpace(
        architecture,
        {name: tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for name, tensor in selected.items()},
    )


def _read_packed(path: Path) -> tuple[int, dict[str, str], dict[str, Tensor]]:
    remedy = "leave `index` empty for single checkpoints"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        count = int(metadata[POPULATION_KEY])
    except FileNotFoundError as error:
        raise DataError(path, "no such file, though the labels list it", "restore it or remove its rows") from error
    except KeyError as error:
        raise DataError(path, "not a packed population, though the labels give an index", remedy) from error
    except (OSError, SafetensorError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        raise DataError(path, f"not a packed population ({error})", remedy) from error
    bad = [name for name, tensor in tensors.items() if tensor.ndim == 0 or len(tensor) != count]
    if bad or count < 1:
        raise DataError(path, f"{', '.join(bad) or 'it'} has no population axis of {count}", "generate the zoo again")
    return count, metadata, tensors


def _selected(point: WeightSpace, indices: Sequence[int]) -> WeightSpace:
    chosen = torch.tensor(indices, dtype=torch.int64)
    return WeightSpace(point.architecture, {name: tensor[chosen] for name, tensor in point.tensors.items()})


def _joined(points: Sequence[WeightSpace], names: Sequence[str]) -> WeightSpace:
    first = points[0].architecture
    for name, point in zip(names, points, strict=True):
        if point.architecture.signature != first.signature:
            cause = f"is {point.architecture.describe()}, while {names[0]} is {first.describe()}"
            raise DataError(name, cause, "fit one head to networks of one architecture")
    specs = [[spec.name for spec in point.architecture.tensors] for point in points]
    columns = zip(first.tensors, zip(*specs, strict=True), strict=True)
    tensors = {
        spec.name: torch.cat([point.tensors[own] for point, own in zip(points, owns, strict=True)])
        for spec, owns in columns
    }
    return WeightSpace(first, tensors)
