"""Packed populations: safetensors files whose tensors have a leading axis of networks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from safetensors.torch import load
from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint
from nfn_cli.checkpoints.find_state_dict import FACTS
from nfn_cli.checkpoints.formats.registry import SAFETENSORS
from nfn_cli.checkpoints.formats.safetensors_file import POPULATION_KEY
from nfn_cli.checkpoints.object_store import is_address, read_remote
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.validate import require_weights
from nfn_cli.errors import CheckpointError

Found = TypeVar("Found")

_LONGEST_HEADER = 1 << 24  # bytes; that of a population has a line for each tensor of one network


@dataclass(frozen=True)
class _Header:
    count: int
    metadata: dict[str, str]
    entries: dict[str, dict[str, Any]]
    start: int  # of the tensors in the file


def population_of(path: str | os.PathLike[str]) -> int | None:
    """How many networks a packed file holds; None for any other file, and for a damaged one, which its reader refuses.

    Args:
        path: a file, or its address in a store.

    Raises:
        CheckpointError: a store that cannot be reached.
    """
    try:
        header = _opened(path, _header)
    except OSError:
        return None
    return header.count if header else None


def read_members(path: str | os.PathLike[str], start: int, stop: int) -> tuple[Checkpoint, dict[str, Tensor]]:
    """Some of the networks of a packed file; no more of it is read.

    Args:
        path: a file, or its address in a store.
        start, stop: places along the population axis.

    Returns:
        The first of them as a checkpoint of its own, and the tensors of all, [stop − start, *shape].

    Raises:
        CheckpointError: no packed file, or one that has changed since.
    """

    def read(file: BinaryIO) -> tuple[dict[str, Tensor], dict[str, str]]:
        header = _header(file)
        if header is None or not 0 <= start < stop <= header.count:
            raise CheckpointError(path, "not the packed population that it was", "try again once nothing writes it")
        return _rows(file, header, start, stop), header.metadata

    try:
        tensors, metadata = _opened(path, read)
    except CheckpointError:
        raise
    except Exception as error:
        # SafetensorError, what torch raises for a kind of number that it lacks, and whatever a change of the file does.
        cause = f"not a readable packed population ({printable(error)})"
        raise CheckpointError(path, cause, "copy it again, or generate the zoo again") from error
    first = {name: tensor[0] for name, tensor in tensors.items()}
    file = Path(path)
    require_weights(file, first)
    facts = {key: metadata[key] for key in FACTS if key in metadata}
    return Checkpoint(file, SAFETENSORS.name, first, facts, False), tensors


def _opened(path: str | os.PathLike[str], work: Callable[[BinaryIO], Found]) -> Found:
    if isinstance(path, str) and is_address(path):
        return read_remote(path, work)
    with open(path, "rb") as file:
        return work(file)


def _header(file: BinaryIO) -> _Header | None:
    """What a packed file says of itself, None of another or a damaged one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = 8 + int.from_bytes(file.read(8), "little")
    if start > min(size, _LONGEST_HEADER):
        return None
    try:
        header = json.loads(file.read(start - 8))
        metadata = header.pop("__metadata__")
        count = int(metadata[POPULATION_KEY])
        whole = bool(header) and count > 0
        for entry in header.values():
            low, high = entry["data_offsets"]
            # An axis is as long as the file is large, unless another is 0: a header alone must not promise networks.
            whole &= entry["shape"][0] == count and 0 not in entry["shape"] and 0 <= low < high <= size - start
            whole = whole and (high - low) % count == 0
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        return None
    return _Header(count, metadata, header, start) if whole else None


def _rows(file: BinaryIO, header: _Header, start: int, stop: int) -> dict[str, Tensor]:
    """Rows of all tensors, as a file of their own in memory: a map would end the process if the file were cut short."""
    entries: dict[str, dict[str, Any]] = {}
    body = bytearray()
    for name, entry in sorted(header.entries.items()):
        low, high = entry["data_offsets"]
        each = (high - low) // header.count
        file.seek(header.start + low + start * each)
        part = file.read((stop - start) * each)
        offsets = [len(body), len(body) + len(part)]
        entries[name] = entry | {"shape": [stop - start, *entry["shape"][1:]], "data_offsets": offsets}
        body += part
    text = json.dumps(entries).encode()
    return load(len(text).to_bytes(8, "little") + text + bytes(body))
