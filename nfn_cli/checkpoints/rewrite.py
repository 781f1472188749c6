"""Write a checkpoint back as it was, with other numbers in its tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.atomic import require_writable, write_text_atomically
from nfn_cli.checkpoints.checkpoint import Checkpoint
from nfn_cli.checkpoints.find_state_dict import strip_wrappers
from nfn_cli.checkpoints.formats.reader import Change
from nfn_cli.checkpoints.formats.registry import SHARDED, format_named
from nfn_cli.checkpoints.formats.sharded import confined
from nfn_cli.checkpoints.hub_cache import SHARED, is_blob
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.replacement import changed, changed_since, replaced_together
from nfn_cli.checkpoints.shard_index import is_index, read_weight_map
from nfn_cli.checkpoints.sniff import sniff
from nfn_cli.checkpoints.tensor_map import TensorMap
from nfn_cli.checkpoints.tensors_in_parts import parts_of
from nfn_cli.errors import CheckpointError

_WAIT = "try again once nothing writes it"
_CONVERT = "save the state dict with safetensors, and give that file"


def rewrite_checkpoint(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], out: Path, *, overwrite: bool = False
) -> tuple[str, ...]:
    """Write a checkpoint in its own container and layout: names, nesting, dtypes, metadata, other entries, shards.

    Args:
        checkpoint: as read; its file is read once more for what the checkpoint does not keep.
        tensors: new values, by the checkpoint's names and of its shapes; tensors left out stay as they are. For a
            safetensors file each is asked for once, when it is written, and in parts where it comes in them.
        out: the new file; for a sharded checkpoint the new index, beside which the shards go under their own names,
            those in subfolders into subfolders of the same names, which are made.
        overwrite: replace files that are there.

    A PyTorch zip file keeps every byte but those of the tensors, whatever else is in it; tensors that share memory go
    on sharing it. A legacy file comes out in the zip format, and is refused where it holds objects that are not read.

    Returns:
        Printable names of the entries beside the state dict that hold tensors, such as an optimizer's state. They are
        written as they were.

    Raises:
        CheckpointError: a file exists (without `overwrite`), is a link into a Hugging Face cache, or cannot be
            written. No file is left half-written.
    """
    if checkpoint.format == SHARDED.name:
        return _rewrite_shards(checkpoint, tensors, out, overwrite=overwrite)
    return _rewrite_file(checkpoint, checkpoint.path, tensors, strip_wrappers, out, overwrite=overwrite)


# Gives the checkpoint's name for each name in a file, in their order.
_Naming = Callable[[Mapping[str, object]], Iterable[str]]


def _rewrite_file(
    checkpoint: Checkpoint, source: Path, tensors: Mapping[str, Tensor], naming: _Naming, out: Path, *, overwrite: bool
) -> tuple[str, ...]:
    format = sniff(source) if checkpoint.format == SHARDED.name else format_named(checkpoint.format)
    if not format.rewritten:
        raise CheckpointError(source, f"{format.title}, which nfn reads and does not write", _CONVERT)

    def changes(in_file: Mapping[str, object], *, by_tensor: bool = False) -> dict[str, Change]:
        names = dict(zip(in_file, naming(in_file), strict=True))
        # Asked once the source is open: what is copied from it belongs to what was read.
        _require_unchanged(checkpoint)
        return {own: change for own, name in names.items() if (change := _change(checkpoint, tensors, name, by_tensor))}

    return format.reader().rewrite(source, checkpoint.entry, changes, out, overwrite=overwrite)


def _change(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], name: str, by_tensor: bool) -> Change | None:
    """What is written in a tensor's place; None where it stays as it is."""
    old = checkpoint.tensors
    if name in tensors:
        return old.frame(name) if isinstance(old, TensorMap) else old[name], parts_of(tensors, name)
    if isinstance(old, TensorMap):
        # What nobody has read is looked at before it is written: as it is copied, where that goes tensor by tensor.
        if by_tensor:
            return old.frame(name), old.parts(name)
        old.require_finite(name)
    return None


def _require_unchanged(checkpoint: Checkpoint) -> None:
    if (file := changed(checkpoint.files)) is not None:
        raise changed_since(file)


def _rewrite_shards(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], out: Path, *, overwrite: bool
) -> tuple[str, ...]:
    """Shards first, the index last, so that a folder with an index is whole; all or none of them."""
    with replaced_together(out) as together:
        weight_map = read_weight_map(checkpoint.path)
        if len(weight_map) != len(checkpoint.tensors):
            raise changed_since(checkpoint.path)
        listed: dict[str, dict[str, str]] = {}
        for (own, shard), name in zip(weight_map.items(), checkpoint.tensors, strict=True):
            listed.setdefault(shard, {})[own] = name
        sources = {shard: confined(checkpoint.path, shard) for shard in listed}
        _require_room(out, list(listed), overwrite=overwrite)
        if not is_index(out):
            cause = "a sharded checkpoint is written as an index with its shards beside it"
            raise CheckpointError(out, cause, "give a folder, or a name that ends with .index.json")
        others: dict[str, None] = {}
        for shard, source in sources.items():
            write = partial(_rewrite_file, checkpoint, source, tensors, _naming_of(source, listed[shard]))
            others |= dict.fromkeys(together.write(out.parent / shard, partial(write, overwrite=False)))
        text = checkpoint.path.read_text(encoding="utf-8")
        together.write(out, lambda aside: write_text_atomically(aside, text))
        _require_unchanged(checkpoint)
    return tuple(others)


def _naming_of(source: Path, listed: Mapping[str, str]) -> _Naming:
    def naming(in_file: Mapping[str, object]) -> list[str]:
        if set(in_file) != set(listed):
            raise CheckpointError(source, "it holds other tensors than were read from it", _WAIT)
        return [listed[own] for own in in_file]

    return naming


def _require_room(out: Path, shards: Sequence[str], *, overwrite: bool) -> None:
    """Check, before anything is written, that the index and all shards can be."""
    if any(is_blob(out.parent / shard) for shard in shards):
        raise CheckpointError(out, f"the shards are links into {SHARED}", "write elsewhere")
    require_writable(out, overwrite=overwrite)
    if left := _shards_there(out) - set(shards):
        cause = f"the checkpoint there has another shard, '{printable(min(left))}', which would be left beside it"
        raise CheckpointError(out, cause, "remove that checkpoint first, or write elsewhere")
    for shard in shards:
        top, *below = shard.split("/")
        if top == out.name:
            cause = f"the index would take the place of the {'folder of a shard' if below else 'shard'} of this name"
            raise CheckpointError(out, cause, "choose another name")
        file = out.parent / shard
        if os.path.isdir(file.parent):
            require_writable(file, overwrite=overwrite)
            continue
        nearest = next(folder for folder in file.parents if os.path.lexists(folder))
        if not os.path.isdir(nearest):
            raise CheckpointError(nearest, f"not a folder, which '{printable(shard)}' needs", "choose another place")


def _shards_there(index: Path) -> set[str]:
    try:
        return {shard for shard in read_weight_map(index).values() if os.path.lexists(index.parent / shard)}
    except CheckpointError:  # there is none, or a damaged one that says nothing
        return set()
