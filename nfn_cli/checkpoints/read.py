"""From a path to a checkpoint: tell the format, read, unwrap, validate."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint, Fact, Format
from nfn_cli.checkpoints.discover import SUFFIXES, is_index
from nfn_cli.checkpoints.nested import FACTS, find_facts, find_state_dict, strip_wrappers
from nfn_cli.checkpoints.safetensors_format import read_safetensors
from nfn_cli.checkpoints.sharded import read_sharded, shard_names
from nfn_cli.checkpoints.sniff import sniff
from nfn_cli.checkpoints.torch_format import read_torch
from nfn_cli.checkpoints.validate import validate_tensors
from nfn_cli.errors import CheckpointError


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors or PyTorch file, a sharded checkpoint's index, or a folder that holds one of these.

    Nothing in the file is executed. Tensors are memory-mapped where the format allows.

    Raises:
        CheckpointError: the path holds no readable checkpoint of finite weights; one line says why.
    """
    file = Path(path)
    if file.is_dir():
        file = _only_checkpoint(file)
    sniffed = sniff(file)
    format: Format
    facts: dict[str, Fact] = {}
    if sniffed == "index":
        format, ordered = "sharded", False
        tensors = read_sharded(file, lambda shard: _read_file(shard)[0])
    else:
        format, ordered = sniffed, sniffed != "safetensors"
        tensors, facts = _read_file(file)
    tensors = strip_wrappers(tensors)
    validate_tensors(file, tensors)
    return Checkpoint(file, format, tensors, facts, ordered)


def _read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Fact]]:
    format = sniff(path)
    if format == "safetensors":
        tensors, metadata = read_safetensors(path)
        return tensors, {key: metadata[key] for key in FACTS if key in metadata}
    if format == "index":
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    loaded = read_torch(path, mmap=format == "torch")
    return find_state_dict(path, loaded), find_facts(loaded)


def _only_checkpoint(folder: Path) -> Path:
    """The one checkpoint of a folder; an index counts for all its shards."""
    try:
        files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise CheckpointError(folder, f"cannot be read ({error.strerror})", "check its permissions") from error
    indices = [file for file in files if is_index(file)]
    shards = {name for index in indices for name in shard_names(index)}
    found = indices + [file for file in files if file.suffix in SUFFIXES and file.name not in shards]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(folder, f"no checkpoint in this folder ({', '.join(SUFFIXES)})", "give a file")
    names = ", ".join(file.name for file in found[:5]) + (", ..." if len(found) > 5 else "")
    raise CheckpointError(folder, f"several checkpoints in this folder ({names})", "name the one you mean")
