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
from nfn_cli.checkpoints.torch_format import read_torch
from nfn_cli.checkpoints.validate import require_dense, require_weights
from nfn_cli.errors import CheckpointError


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors or PyTorch file, a sharded checkpoint's index, or a folder that holds one of these.

    Nothing in the file is executed. Tensors are memory-mapped where the format allows.

    Raises:
        CheckpointError: the path holds no readable checkpoint of finite weights; one line says why.
    """
    file = only_checkpoint(Path(path)) if os.path.isdir(path) else Path(path)
    format = sniff(file)
    facts: dict[str, Fact] = {}
    if format == "index":
        tensors = read_sharded(file, _read_shard)
    else:
        tensors, facts = _read_file(file, format)
    tensors = strip_wrappers(tensors)
    require_weights(file, tensors)
    ordered = format in ("torch", "torch-legacy")
    return Checkpoint(file, "sharded" if format == "index" else format, tensors, facts, ordered)


def _read_file(path: Path, format: Sniffed) -> tuple[dict[str, Tensor], dict[str, Fact]]:
    tensors: dict[str, Tensor]
    facts: dict[str, Fact]
    if format == "safetensors":
        tensors, metadata = read_safetensors(path)
        facts = {key: metadata[key] for key in FACTS if key in metadata}
    else:
        loaded = read_torch(path, mmap=format == "torch")
        tensors, facts = find_state_dict(path, loaded), find_facts(loaded)
    require_dense(path, tensors)
    return tensors, facts


def _read_shard(path: Path) -> dict[str, Tensor]:
    format = sniff(path)
    if format == "index":
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    return _read_file(path, format)[0]
