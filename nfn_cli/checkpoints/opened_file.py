"""From a path to the tensors in the file, whether or not they are a network's weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.checkpoints.discover import only_checkpoint
from nfn_cli.checkpoints.find_state_dict import strip_wrappers
from nfn_cli.checkpoints.formats.sharded import read_sharded
from nfn_cli.checkpoints.sniff import sniff, sniff_shard
from nfn_cli.checkpoints.validate import claims_more


@dataclass(frozen=True)
class OpenedFile:
    """All tensors that a file is about, of any kind and with any entries.

    Attributes:
        path: the file that was read; the index, for a sharded checkpoint.
        format: name of one of `FORMATS`, seen from the bytes.
        tensors: in the file's order, with the names of `Checkpoint` where there is one state dict; else every tensor
            with the dotted name of its place, such as `state.0.exp_avg`, which is empty for a tensor saved by itself.
            Some may be sparse, quantized, nested or without data.
        unheld: names of the tensors that claim more entries than their file holds. Nothing may be computed from them:
            a few bytes can be repeated to fill any memory.
        metadata: the known facts beside them, as `Checkpoint` has them.
    """

    path: Path
    format: str
    tensors: Mapping[str, Tensor]
    unheld: frozenset[str]
    metadata: Mapping[str, Fact]


def open_tensors(path: str | os.PathLike[str]) -> OpenedFile:
    """Open what `read_checkpoint` reads, and what it refuses for what its tensors are; also a packed population.

    Nothing in the file is executed. Tensors are memory-mapped where the format allows.

    Raises:
        CheckpointError: the bytes do not open as a checkpoint; one line says why.
    """
    file = only_checkpoint(Path(path)) if os.path.isdir(path) else Path(path)
    format = sniff(file)
    if not format.sharded:
        contents = format.reader().read_all(file)
        tensors = contents.tensors if contents.no_state_dict else strip_wrappers(contents.tensors)
        return OpenedFile(file, format.name, tensors, frozenset(_unheld(file, tensors)), contents.facts)
    doubtful: set[int] = set()

    def open_shard(shard: Path) -> dict[str, Tensor]:
        contents = sniff_shard(shard).reader().read_all(shard)
        if contents.no_state_dict:
            raise contents.no_state_dict
        # By identity: another shard may have a sound tensor of the same name.
        doubtful.update(id(contents.tensors[name]) for name in _unheld(shard, contents.tensors))
        return contents.tensors

    tensors = strip_wrappers(read_sharded(file, open_shard)[0])
    unheld = frozenset(name for name, tensor in tensors.items() if id(tensor) in doubtful)
    return OpenedFile(file, format.name, tensors, unheld, {})


def _unheld(path: Path, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    size = path.stat().st_size
    return (name for name, tensor in tensors.items() if claims_more(tensor, size))
