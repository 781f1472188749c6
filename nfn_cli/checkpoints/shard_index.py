"""The index of a sharded checkpoint: which tensor is in which file. No torch here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints.formats.registry import SHARDED
from nfn_cli.checkpoints.printable import printable
from nfn_cli.errors import CheckpointError
from nfn_cli.records import each_once, read_text

(INDEX_SUFFIX,) = SHARDED.suffixes
REMEDY = "download the whole checkpoint again"
# Bytes. The index of a model with 400 billion parameters has 0.2 MB; parsing takes several times the file's size.
_LARGEST = 1 << 24


def is_index(path: Path) -> bool:
    """Whether a file is called like the index of a sharded checkpoint."""
    return path.name.endswith(INDEX_SUFFIX)


def read_weight_map(index: Path) -> dict[str, str]:
    """Tensor names and the file of each, in the index's order.

    Raises:
        CheckpointError: the file is no index, or lists a tensor twice.
    """
    try:
        if index.stat().st_size > _LARGEST:
            raise CheckpointError(index, "larger than any index of a checkpoint", "give a checkpoint or its index")
        record: Any = json.loads(read_text(index, _LARGEST), object_pairs_hook=each_once("lists"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            index, f"neither a checkpoint nor a readable index ({printable(error)})", REMEDY
        ) from error
    names = record.get("weight_map") if isinstance(record, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(shard, str) for shard in names.values()):
        raise CheckpointError(
            index, "JSON without a weight_map from tensors to files", "give a checkpoint or its index"
        )
    return names


def is_below(shard: str) -> bool:
    """Whether an index names a file below its own folder, as a relative POSIX path.

    >>> is_below("part1/model-1.safetensors"), is_below("../model-1.safetensors"), is_below("C:model.bin")
    (True, False, False)
    """
    return not any(part in ("", ".", "..") or "\\" in part or ":" in part for part in shard.split("/"))


def shards_of(files: Iterable[Path]) -> set[Path]:
    """The files, below their folders, that the indices among `files` map tensors to.

    A damaged index hides nothing; reading it as a checkpoint will say what is wrong with it.
    """
    shards: set[Path] = set()
    for file in files:
        # Opening a pipe would wait for a writer.
        if is_index(file) and os.path.isfile(file):
            try:
                names = set(read_weight_map(file).values())
            except CheckpointError:
                continue
            shards.update(file.parent / name for name in names if is_below(name))
    return shards
