"""Write a checkpoint back as it was, with other numbers in its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.checkpoints.atomic import require_writable, write_atomically, write_text_atomically
from nfn_cli.checkpoints.checkpoint import Checkpoint
from nfn_cli.checkpoints.index import read_weight_map
from nfn_cli.checkpoints.nested import find_container, other_tensors, strip_wrappers
from nfn_cli.checkpoints.parted import parts_of
from nfn_cli.checkpoints.rewrite_zip import rewrite_zip
from nfn_cli.checkpoints.safetensors_format import Change, rewrite_safetensors
from nfn_cli.checkpoints.sniff import sniff
from nfn_cli.checkpoints.torch_format import read_torch
from nfn_cli.errors import CheckpointError


def rewrite_checkpoint(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], out: Path, *, overwrite: bool = False
) -> tuple[str, ...]:
    """Write a checkpoint in its own container and layout: names, nesting, dtypes, metadata, other entries, shards.

    Args:
        checkpoint: as read; its file is read once more for what the checkpoint does not keep.
        tensors: new values, by the checkpoint's names and of its shapes; tensors left out stay as they are. For a
            safetensors file each is asked for once, when it is written, and in parts where it comes in them.
        out: the new file; for a sharded checkpoint the new index, beside which the shards go under their own names.
        overwrite: replace files that are there.

    A PyTorch zip file keeps every byte but those of the tensors, whatever else is in it; tensors that share memory go
    on sharing it. A legacy file comes out in the zip format, and is refused where it holds objects that are not read.

    Returns:
        Printable names of the entries beside the state dict that hold tensors, such as an optimizer's state. They are
        written as they were.

    Raises:
        CheckpointError: a file exists (without `overwrite`) or cannot be written. No file is left half-written.
    """
    if checkpoint.format == "sharded":
        return _rewrite_shards(checkpoint, tensors, out, overwrite=overwrite)
    return _rewrite_file(checkpoint, checkpoint.path, tensors, strip_wrappers, out, overwrite=overwrite)


# Gives the checkpoint's name for each name in a file, in their order.
_Naming = Callable[[Mapping[str, object]], Iterable[str]]


def _rewrite_file(
    checkpoint: Checkpoint, source: Path, tensors: Mapping[str, Tensor], naming: _Naming, out: Path, *, overwrite: bool
) -> tuple[str, ...]:
    format = sniff(source) if checkpoint.format == "sharded" else checkpoint.format

    def changes(in_file: Mapping[str, object]) -> dict[str, Change]:
        names = dict(zip(in_file, naming(in_file), strict=True))
        return {
            own: (checkpoint.tensors[name], parts_of(tensors, name)) for own, name in names.items() if name in tensors
        }

    def find(loaded: Any) -> dict[Any, Any]:
        return find_container(source, loaded, checkpoint.entry)

    if format == "safetensors":
        rewrite_safetensors(source, changes, out, overwrite=overwrite)
        return ()
    if format == "torch":
        return rewrite_zip(source, find, changes, out, overwrite=overwrite)
    return _rewrite_legacy(source, find, naming, tensors, out, overwrite=overwrite)


def _rewrite_legacy(
    source: Path,
    find: Callable[[Any], dict[Any, Any]],
    naming: _Naming,
    tensors: Mapping[str, Tensor],
    out: Path,
    *,
    overwrite: bool,
) -> tuple[str, ...]:
    loaded = read_torch(source, zipped=False)
    if loaded.lossy:
        cause = "a PyTorch file of the old format with objects that nfn does not read, which would be lost"
        raise CheckpointError(source, cause, "load it and save it again with torch.save, which writes the new format")
    container = find(loaded.value)
    keys = {str(key): key for key, value in dict.items(container) if isinstance(value, Tensor)}
    raw = {own: container[key] for own, key in keys.items()}
    for (own, old), name in zip(raw.items(), naming(raw), strict=True):
        dict.__setitem__(container, keys[own], _changed(old, tensors.get(name)))

    def write(temporary: Path) -> None:
        try:
            torch.save(loaded.value, temporary)
        except RuntimeError as error:  # such as a full disk
            raise OSError(str(error)) from error

    write_atomically(out, write, overwrite=overwrite)
    return other_tensors(loaded.value, container)


def _changed(old: Tensor, new: Tensor | None) -> Tensor:
    if new is None:
        return old
    value = new.to(old.dtype)
    return torch.nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, torch.nn.Parameter) else value


def _rewrite_shards(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], out: Path, *, overwrite: bool
) -> tuple[str, ...]:
    """Shards first, the index last, so that a folder with an index is whole."""
    weight_map = read_weight_map(checkpoint.path)
    names = dict(zip(weight_map, checkpoint.tensors, strict=True))
    shards = list(dict.fromkeys(weight_map.values()))
    for name in (*shards, out.name):
        require_writable(out.parent / name, overwrite=overwrite)

    def naming(in_file: Mapping[str, object]) -> list[str]:
        # A shard may hold more than the index lists; that has no name in the checkpoint.
        return [names.get(own, "") for own in in_file]

    others: dict[str, None] = {}
    for shard in shards:
        source = checkpoint.path.parent / shard
        kept = _rewrite_file(checkpoint, source, tensors, naming, out.parent / shard, overwrite=overwrite)
        others |= dict.fromkeys(kept)
    write_text_atomically(out, checkpoint.path.read_text(encoding="utf-8"), overwrite=overwrite)
    return tuple(others)
