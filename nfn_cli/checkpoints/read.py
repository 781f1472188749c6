"""From a path to a checkpoint: tell the format, read, unwrap, validate."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint, Fact
from nfn_cli.checkpoints.discover import only_checkpoint
from nfn_cli.checkpoints.nested import FACTS, find_facts, find_state_dict, strip_wrappers
from nfn_cli.checkpoints.safetensors_format import read_safetensors
from nfn_cli.checkpoints.sharded import read_sharded
from nfn_cli.checkpoints.sniff import Sniffed, sniff
from nfn_cli.checkpoints.ties import joined, shared_memory, strip_told, told_ties
from nfn_cli.checkpoints.together import Stamped, stamped
from nfn_cli.checkpoints.validate import require_dense, require_weights
from nfn_cli.errors import CheckpointError


def read_checkpoint(path: str | os.PathLike[str], *, entry: str | None = None) -> Checkpoint:
    """Read a safetensors or PyTorch file, a sharded checkpoint's index, or a folder that holds one of these.

    Nothing in the file is executed. Tensors are memory-mapped where the format allows.

    Args:
        entry: which entry of a PyTorch file to read, where it holds several state dicts; dots lead into nested ones.

    Raises:
        CheckpointError: the path holds no readable checkpoint of finite weights; one line says why.
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
        named, files = read_sharded(file, _read_shard)
    else:
        named, facts, told = _read_file(file, format, entry)
    tensors = strip_wrappers(named)
    require_weights(file, tensors)
    ordered = format in ("torch", "torch-legacy")
    shared = tuple((group[0], name) for group in shared_memory(tensors) for name in group[1:])
    ties = joined(tensors, (*shared, *strip_told(told, named, tensors)))
    return Checkpoint(file, "sharded" if format == "index" else format, tensors, facts, ordered, ties, entry, files)


# Tensors, facts, and the pairs that are told to be the same tensor.
_Read = tuple[dict[str, Tensor], dict[str, Fact], list[tuple[str, str]]]


def _read_file(path: Path, format: Sniffed, entry: str | None = None) -> _Read:
    tensors: dict[str, Tensor]
    facts: dict[str, Fact]
    told: list[tuple[str, str]] = []
    if format == "safetensors":
        tensors, metadata = read_safetensors(path)
        facts = {key: metadata[key] for key in FACTS if key in metadata}
        told = told_ties(tensors, metadata)
    else:
        # Where it is needed: a command over safetensors files starts sooner without.
        from nfn_cli.checkpoints.torch_format import read_torch

        loaded = read_torch(path, zipped=format == "torch").value
        tensors, facts = find_state_dict(path, loaded, entry), find_facts(loaded, entry)
    require_dense(path, tensors)
    return tensors, facts, told


def _read_shard(path: Path) -> dict[str, Tensor]:
    format = sniff(path)
    if format == "index":
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    return _read_file(path, format)[0]
