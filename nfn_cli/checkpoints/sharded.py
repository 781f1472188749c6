"""Read a checkpoint that is spread over several files by a Hugging Face index (`*.index.json`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.index import REMEDY, read_weight_map
from nfn_cli.checkpoints.printable import printable
from nfn_cli.errors import CheckpointError


def read_sharded(index: Path, read_shard: Callable[[Path], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all shards that an index names, in the index's order.

    Args:
        index: the JSON file with a `weight_map` from tensor names to file names.
        read_shard: reads one shard.

    Raises:
        CheckpointError: the index is no index, names a file outside its own folder, or a shard lacks a tensor.
    """
    names = read_weight_map(index)
    shards = {shard: read_shard(_confined(index, shard)) for shard in dict.fromkeys(names.values())}
    tensors = {}
    for name, shard in names.items():
        if name not in shards[shard]:
            raise CheckpointError(index, f"the shard '{printable(shard)}' has no tensor '{printable(name)}'", REMEDY)
        tensors[name] = shards[shard][name]
    return tensors


def _confined(index: Path, shard: str) -> Path:
    """The file of a shard, beside its index and nowhere else."""
    if shard in ("", ".", "..") or any(separator in shard for separator in "/\\:"):
        cause = f"the index points outside its folder ('{printable(shard)}')"
        raise CheckpointError(index, cause, "do not trust this checkpoint")
    try:
        present = os.listdir(index.parent)
    except OSError as error:
        cause = f"its folder cannot be read ({error.strerror})"
        raise CheckpointError(index, cause, "check its permissions") from error
    # Looked up in the listing, not asked for: the name may be one that no file can have.
    if shard not in present:
        raise CheckpointError(index, f"the shard '{printable(shard)}' is missing", REMEDY)
    path = index.parent / shard
    # realpath follows links: one inside the folder may not lead out of it either.
    if os.path.dirname(os.path.realpath(path)) != os.path.realpath(index.parent):
        cause = f"the shard '{printable(shard)}' is a link that leads out of the folder"
        raise CheckpointError(index, cause, "put the file itself there if you trust it")
    return path
