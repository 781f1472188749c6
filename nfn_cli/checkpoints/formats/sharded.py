"""Read a checkpoint that is spread over several files by a Hugging Face index (`*.index.json`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.hub_cache import blobs_of
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.replacement import Stamped, changed, settle, stamped
from nfn_cli.checkpoints.shard_index import REMEDY, is_below, read_weight_map
from nfn_cli.errors import CheckpointError

_NAMED = 3  # tensors; of more, the count


def read_sharded(
    index: Path, read_shard: Callable[[Path], Mapping[str, Tensor]]
) -> tuple[dict[str, Tensor], tuple[Stamped, ...]]:
    """The tensors of all shards that an index names, in the index's order; and the files, the index first.

    Where a process was stopped while it replaced the checkpoint, that is finished first.

    Args:
        index: the JSON file with a `weight_map` from tensor names to files, as POSIX paths from the index's folder.
        read_shard: reads one shard.

    Raises:
        CheckpointError: the index is no index, names a file outside its own folder (or outside the cache of the
            Hugging Face Hub that the folder is in), a shard holds other tensors than the index lists in it, or the
            checkpoint is replaced meanwhile.
    """
    settle(index.parent)
    stamps = [stamped(index)]
    weight_map = read_weight_map(index)
    listed: dict[str, list[str]] = {}
    for name, shard in weight_map.items():
        listed.setdefault(shard, []).append(name)
    files = {shard: confined(index, shard) for shard in listed}
    stamps += map(stamped, files.values())
    tensors: dict[str, Tensor] = {}
    for shard, names in listed.items():
        held = read_shard(files[shard])
        _require_same(index, shard, names, held)
        tensors |= held
    if changed(stamps) is not None:
        raise CheckpointError(index, "it was replaced while it was read", "try again once nothing writes it")
    return {name: tensors[name] for name in weight_map}, tuple(stamps)


def confined(index: Path, shard: str) -> Path:
    """The file of a shard: below the folder of its index, or a blob of the cache that this folder is in.

    Raises:
        CheckpointError: it is missing, or anywhere else.
    """
    if not is_below(shard):
        cause = f"the index points outside its folder ('{printable(shard)}')"
        raise CheckpointError(index, cause, "do not trust this checkpoint")
    root = Path(os.path.realpath(index.parent))
    blobs = blobs_of(root)
    path = index.parent
    for part in shard.split("/"):
        # Looked up in the listing, not asked for: the name may be one that no file can have.
        if part not in _listing(path):
            raise CheckpointError(index, f"the shard '{printable(shard)}' is missing", REMEDY)
        path /= part
        # realpath follows links: one inside the folder may not lead out of it either.
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(root) and real.parent != blobs:
            cause = f"the shard '{printable(shard)}' is a link that leads out of the folder"
            raise CheckpointError(index, cause, "put the file itself there if you trust it")
    return path


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except NotADirectoryError:
        return []
    except OSError as error:
        raise CheckpointError(folder, f"cannot be read ({error.strerror})", "check its permissions") from error


def _require_same(index: Path, shard: str, listed: Sequence[str], held: Mapping[str, object]) -> None:
    if missing := [name for name in listed if name not in held]:
        cause = f"the shard '{printable(shard)}' has no {_tensors(missing)}"
        raise CheckpointError(index, cause, REMEDY)
    if unlisted := sorted(set(held) - set(listed)):
        cause = f"the shard '{printable(shard)}' holds {_tensors(unlisted)}, not listed there by the index"
        raise CheckpointError(index, cause, REMEDY)


def _tensors(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{printable(name)}'" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"tensor{'s' if len(names) > 1 else ''} {shown}{more}"
