"""The files of a generated zoo's networks: one a network, or packed, many along a population axis."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors, synced_together

_PART = re.compile(r"part-(\d+)\.safetensors")


def part_name(number: int) -> str:
    """The packed file of this number in a zoo.

    >>> part_name(3)
    'part-00003.safetensors'
    """
    return f"part-{number:05d}.safetensors"


def free_parts(rows: Sequence[Any]) -> Iterator[int]:
    """Numbers of packed files that no row's `file` is of. The lowest come first: what a killed sitting has written
    beside the table is among them, and is replaced."""
    found = (_PART.fullmatch(name) for name in {row.file for row in rows})
    taken = {int(match.group(1)) for match in found if match}
    return (number for number in count() if number not in taken)


def write_networks(
    folder: Path,
    rows: Sequence[Any],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    part: int | None,
) -> list[Any]:
    """Write networks and return their rows, with where they are.

    Args:
        rows: frozen dataclasses with `file` (of a file of its own) and `index`.
        tensors: [len(rows), *shape].
        metadata: of every file.
        part: number of the packed file; None writes one file a network.

    Raises:
        CheckpointError: a file cannot be written.
    """
    if not rows:
        return []
    # A file of such a name would be left over from a killed sitting, and belong to no row.
    if part is not None:
        name = part_name(part)
        save_tensors(folder / name, tensors, {**metadata, POPULATION_KEY: str(len(rows))}, overwrite=True)
        return [replace(row, file=name, index=index) for index, row in enumerate(rows)]
    with synced_together():
        for index, row in enumerate(rows):
            alone = {name: tensor[index].clone() for name, tensor in tensors.items()}
            save_tensors(folder / row.file, alone, metadata, overwrite=True)
    return list(rows)
