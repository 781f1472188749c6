"""Read a checkpoint that is spread over several files by a Hugging Face index (`*.index.json`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nfn_cli.errors import CheckpointError

_REMEDY = "download the whole checkpoint again"


def read_sharded(index: Path, read_shard: Callable[[Path], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all shards that an index names, in the index's order.

    Args:
        index: the JSON file with a `weight_map` from tensor names to file names.
        read_shard: reads one shard.

    Raises:
        CheckpointError: the index is no index, names a file outside its own folder, or a shard lacks a tensor.
    """
    names = _weight_map(index)
    folder = index.parent.resolve()
    shards: dict[str, Mapping[str, Tensor]] = {}
    for shard in dict.fromkeys(names.values()):
        path = folder / shard
        # resolve() follows links: a link inside the folder may not lead out of it either.
        if Path(shard).is_absolute() or path.resolve().parent != folder:
            raise CheckpointError(
                index, f"the index points outside its folder ({shard!r})", "do not trust this checkpoint"
            )
        if not path.is_file():
            raise CheckpointError(index, f"the shard {shard!r} is missing", _REMEDY)
        shards[shard] = read_shard(path)
    tensors = {}
    for name, shard in names.items():
        if name not in shards[shard]:
            raise CheckpointError(index, f"the shard {shard!r} has no tensor {name!r}", _REMEDY)
        tensors[name] = shards[shard][name]
    return tensors


def shard_names(index: Path) -> set[str]:
    """The file names that an index maps tensors to.

    Raises:
        CheckpointError: the index is no index.
    """
    return set(_weight_map(index).values())


def _weight_map(index: Path) -> dict[str, str]:
    try:
        record: Any = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(index, f"neither a checkpoint nor a readable index ({error})", _REMEDY) from error
    names = record.get("weight_map") if isinstance(record, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(shard, str) for shard in names.values()):
        raise CheckpointError(
            index, "JSON without a weight_map from tensors to files", "give a checkpoint or its index"
        )
    return names
