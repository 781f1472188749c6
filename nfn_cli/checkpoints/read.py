"""From a path to a checkpoint: find the format, read, unwrap, validate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint
from nfn_cli.checkpoints.discover import only_checkpoint
from nfn_cli.checkpoints.find_state_dict import strip_wrappers
from nfn_cli.checkpoints.formats.checkpoint_format import CheckpointFormat
from nfn_cli.checkpoints.formats.reader import Contents
from nfn_cli.checkpoints.formats.sharded import read_sharded
from nfn_cli.checkpoints.replacement import Stamped, stamped
from nfn_cli.checkpoints.sniff import sniff, sniff_shard
from nfn_cli.checkpoints.tensor_map import Place, TensorMap
from nfn_cli.checkpoints.ties import joined, shared_memory, strip_stated
from nfn_cli.checkpoints.validate import require_dense, require_matrix, require_weights
from nfn_cli.errors import CheckpointError


def read_checkpoint(path: str | os.PathLike[str], *, entry: str | None = None) -> Checkpoint:
    """Read a safetensors or PyTorch file, a sharded checkpoint's index, or a folder that holds one of these.

    All weights are looked at. Nothing in the file is executed. Tensors are memory-mapped where the format allows.

    Args:
        entry: which entry of a PyTorch file to read, where it holds several state dicts; dots lead into nested ones.

    Raises:
        CheckpointError: the path holds no readable checkpoint of finite weights; one line says why.
    """
    return _checkpoint(path, entry, None)


def open_checkpoint(path: str | os.PathLike[str], *, entry: str | None = None) -> Checkpoint:
    """As `read_checkpoint`, with tensors that are read when they are asked for and not kept (a `TensorMap`).

    Headers are checked at once: shapes, dtypes, and that the file holds all entries. Whether weights are finite is
    checked as they are read. A legacy PyTorch file, and one of a machine with the other byte order, is read whole.

    Raises:
        CheckpointError: as `read_checkpoint`; of numbers that are not finite when they are read.
    """
    return _checkpoint(path, entry, {})


# Where each tensor of a file is, by its name there.
_Places = dict[str, Place | Tensor]


def _checkpoint(path: str | os.PathLike[str], entry: str | None, places: _Places | None) -> Checkpoint:
    """
    Args:
        places: to be filled, and the tensors left in their files; None to read them.
    """
    file = only_checkpoint(Path(path)) if os.path.isdir(path) else Path(path)
    format = sniff(file)
    if entry is not None and not format.entries:
        cause = f"{format.title} has no entries to choose from"
        raise CheckpointError(file, cause, "name no entry; a prefix of tensors' names may choose among networks")
    files: tuple[Stamped, ...] = (stamped(file),)
    if format.sharded:
        named, files = read_sharded(file, partial(_read_shard, places=places))
        contents = Contents(named)
    else:
        contents = _read_file(file, format, entry, places)
    named = contents.tensors
    tensors: Mapping[str, Tensor] = strip_wrappers(named)
    (require_weights if places is None else require_matrix)(file, tensors)
    shared = tuple((group[0], name) for group in shared_memory(tensors) for name in group[1:])
    ties = joined(tensors, (*shared, *strip_stated(contents.ties, named, tensors)))
    if places is not None:
        tensors = TensorMap(file, strip_wrappers({name: places[name] for name in named}), files)
    raw, own = next(zip(named, tensors, strict=True), ("", ""))
    stripped = raw.removesuffix(own)
    return Checkpoint(file, format.name, tensors, contents.facts, format.ordered, ties, entry, files, stripped)


def _read_file(path: Path, format: CheckpointFormat, entry: str | None, places: _Places | None) -> Contents:
    # The reader is imported here: a command over safetensors files starts sooner without that of PyTorch files.
    contents = format.reader().read(path, entry, placed=places is not None)
    if places is not None:
        places |= contents.places or contents.tensors
    require_dense(path, contents.tensors)
    return contents


def _read_shard(path: Path, places: _Places | None) -> dict[str, Tensor]:
    return _read_file(path, sniff_shard(path), None, places).tensors
