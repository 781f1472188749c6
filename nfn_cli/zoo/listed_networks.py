"""Read the networks that a table lists, all of one architecture, as one batch of weights: from files of one network or
of many."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Stated, joined, read_network, read_weights, stack, to_plain_range
from nfn_cli.checkpoints import Checkpoint, population_of, read_members
from nfn_cli.errors import DataError
from nfn_cli.zoo.labels import Label


def read_listed(
    rows: Sequence[Label], path_of: Callable[[str], Path], activation: str | None, default_activation: str | None
) -> NetworkWeights:
    """The networks of the rows, in their order, [len(rows), *shape]; pictures as if black were -1 and white 1.

    Args:
        rows: at least one.
        path_of: the path of a listed file.
        activation, default_activation: as in `read_weights`.

    Raises:
        DataError: a file is no packed population though its rows say so, or networks of several architectures.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    by_file: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_file.setdefault(row.file, []).append(position)
    batches: list[NetworkWeights] = []
    order: list[int] = []
    for name, positions in by_file.items():
        members = [rows[position] for position in positions]
        batches.append(_read_members(path_of(name), members, activation, default_activation))
        order += positions
    first, *others = zip(by_file, (batch.architecture for batch in batches), strict=True)
    for name, own in others:
        if own.signature != first[1].signature:
            cause = f"is {own.describe()}, while {first[0]} is {first[1].describe()}"
            raise DataError(name, cause, "fit one head to networks of one architecture, or --kind any-classifier")
    return selected(joined(batches), torch.tensor(order).argsort().tolist())


def selected(point: NetworkWeights, indices: Sequence[int]) -> NetworkWeights:
    """The networks of a batch at these positions."""
    chosen = torch.tensor(indices, dtype=torch.int64)
    return point.mapped(lambda tensor: tensor[chosen])


def confined(folder: Path, name: str, table: Path) -> Path:
    """The listed file: by its path from the folder, or else from the table's own folder.

    Raises:
        DataError: it lies outside the folder, or is no name that a file can have.
    """
    path = folder / name
    if not os.path.exists(path) and os.path.exists(table.parent / name):
        path = table.parent / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # no text, or links that go round in a circle
        raise DataError(name, f"names no file ({error})", "mend the labels") from error
    if not inside:
        raise DataError(name, f"the labels point outside {folder}", "list files by their path inside the folder")
    return path


def _read_members(
    path: Path, members: Sequence[Label], activation: str | None, default_activation: str | None
) -> NetworkWeights:
    """The members of one file, [len(members), *shape]."""
    indices = [member.index for member in members if member.index is not None]
    if not indices:
        told = Stated(activation=activation)
        read = read_network(path, told, default_activation=default_activation)[1].plain()
        plain = to_plain_range(read.weights, read.activation.value_range)
        return selected(stack([plain]), [0] * len(members))
    first, tensors, chosen = _read_packed(path, indices, len(members))
    network = read_weights(first, activation=activation, default_activation=default_activation).plain()
    architecture = network.weights.architecture
    if {spec.name for spec in architecture.tensors} != set(tensors):
        raise DataError(
            path, "its members need conversion (folded layers or missing biases)", "store one file a network"
        )
    chosen_tensors = {spec.name: tensors[spec.name][chosen] for spec in architecture.tensors}
    broken = [name for name, tensor in chosen_tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise DataError(path, f"tensor {broken[0]!r} of some member is not finite", "remove the rows of that member")
    point = NetworkWeights(architecture, chosen_tensors)
    point = point.mapped(lambda tensor: tensor.to(torch.promote_types(tensor.dtype, torch.float32)))
    return to_plain_range(point, network.activation.value_range)


def _read_packed(path: Path, indices: Sequence[int], count: int) -> tuple[Checkpoint, dict[str, Tensor], Tensor]:
    """The rows of a packed file from the first to the last that is wanted.

    Args:
        indices: the positions that the labels give, of `count` networks.

    Returns:
        The first of them as a checkpoint of its own, the tensors of all, and where in these the indices are.
    """
    if not os.path.exists(path):
        raise DataError(path, "no such file, though the labels list it", "restore it or remove its rows")
    held = population_of(path)
    if held is None:
        cause = "no whole packed population, though the labels give an index"
        raise DataError(path, cause, "copy it again; for single checkpoints leave `index` empty")
    if len(indices) < count or not all(0 <= index < held for index in indices):
        raise DataError(path, f"the labels give an index outside 0 ... {held - 1}", "write the labels anew")
    start = min(indices)
    first, tensors = read_members(path, start, max(indices) + 1)
    return first, tensors, torch.tensor(indices) - start
