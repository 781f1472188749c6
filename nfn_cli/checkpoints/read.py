"""From a path to a checkpoint: tell the format, read, unwrap, validate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint, Fact, Format
from nfn_cli.checkpoints.discover import only_checkpoint
from nfn_cli.checkpoints.husk import unread_kind
from nfn_cli.checkpoints.nested import FACTS, find_facts, find_state_dict, strip_wrappers
from nfn_cli.checkpoints.safetensors_format import place_safetensors, read_safetensors
from nfn_cli.checkpoints.sharded import read_sharded
from nfn_cli.checkpoints.sniff import Sniffed, sniff
from nfn_cli.checkpoints.tensor_map import Place, TensorMap, placed
from nfn_cli.checkpoints.ties import joined, shared_memory, strip_told, told_ties
from nfn_cli.checkpoints.together import Stamped, stamped
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

    All is checked that headers tell: shapes, dtypes, and that the file holds all entries. Whether weights are finite is
    checked as they are read. A legacy PyTorch file, and one of a machine with the other order of bytes, is read whole.

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
    facts: dict[str, Fact] = {}
    told: list[tuple[str, str]] = []
    if entry is not None and format not in ("torch", "torch-legacy"):
        kind = "a safetensors file" if format == "safetensors" else "a sharded checkpoint"
        raise CheckpointError(file, f"{kind} has no entries to choose from", "leave out --entry, or use --prefix")
    files: tuple[Stamped, ...] = (stamped(file),)
    if format == "index":
        named, files = read_sharded(file, partial(_read_shard, places=places))
    else:
        named, facts, told = _read_file(file, format, entry, places)
    tensors: Mapping[str, Tensor] = strip_wrappers(named)
    (require_weights if places is None else require_matrix)(file, tensors)
    ordered = format in ("torch", "torch-legacy")
    shared = tuple((group[0], name) for group in shared_memory(tensors) for name in group[1:])
    ties = joined(tensors, (*shared, *strip_told(told, named, tensors)))
    if places is not None:
        tensors = TensorMap(file, strip_wrappers({name: places[name] for name in named}), files)
    found: Format = "sharded" if format == "index" else format
    raw, own = next(zip(named, tensors, strict=True), ("", ""))
    stripped = raw.removesuffix(own)
    return Checkpoint(file, found, tensors, facts, ordered, ties, entry, files, stripped)


# Tensors, facts, and the pairs that are told to be the same tensor.
_Read = tuple[dict[str, Tensor], dict[str, Fact], list[tuple[str, str]]]


def _read_file(path: Path, format: Sniffed, entry: str | None, places: _Places | None) -> _Read:
    tensors: dict[str, Tensor]
    facts: dict[str, Fact]
    told: list[tuple[str, str]] = []
    if format == "safetensors":
        if places is None:
            tensors, metadata = read_safetensors(path)
        else:
            tensors, metadata, starts = place_safetensors(path)
            places |= {name: placed(path, starts[name], tensor) for name, tensor in tensors.items()}
        facts = {key: metadata[key] for key in FACTS if key in metadata}
        told = told_ties(tensors, metadata)
    else:
        # Where it is needed: a command over safetensors files starts sooner without.
        from nfn_cli.checkpoints.torch_format import read_torch

        loaded = read_torch(path, zipped=format == "torch", mapped=None if places is None else True)
        tensors, facts = find_state_dict(path, loaded.value, entry), find_facts(loaded.value, entry)
        if places is not None:
            at = {own.untyped.data_ptr(): own.start for own in loaded.storages if own.swapped is None}
            places |= {name: _place(path, at, tensor) for name, tensor in tensors.items()}
    require_dense(path, tensors)
    return tensors, facts, told


def _place(path: Path, starts: Mapping[int, int], tensor: Tensor) -> Place | Tensor:
    """
    Args:
        starts: by a storage's address, where its bytes begin in the file.
    """
    if unread_kind(tensor) or not tensor.numel():  # refused behind this, or of no entries
        return tensor.clone()
    start = starts.get(tensor.untyped_storage().data_ptr())
    offset = int(tensor.storage_offset()) * tensor.element_size()
    return tensor if start is None else placed(path, start + offset, tensor)


def _read_shard(path: Path, places: _Places | None) -> dict[str, Tensor]:
    format = sniff(path)
    if format == "index":
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    return _read_file(path, format, None, places)[0]
