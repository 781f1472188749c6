"""From a path to the tensors in the file, whether or not they are a network's weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact, Format
from nfn_cli.checkpoints.discover import only_checkpoint
from nfn_cli.checkpoints.nested import FACTS, find_facts, find_state_dict, plain, strip_wrappers
from nfn_cli.checkpoints.safetensors_format import open_safetensors
from nfn_cli.checkpoints.sharded import read_sharded
from nfn_cli.checkpoints.sniff import Sniffed, sniff
from nfn_cli.checkpoints.validate import claims_more
from nfn_cli.errors import CheckpointError

# Containers in one another. A training state has its optimizer's at a depth of five or six.
_DEEPEST = 16


@dataclass(frozen=True)
class OpenedFile:
    """All tensors that a file is about, of any kind and with any entries.

    Attributes:
        path: the file that was read; the index, for a sharded checkpoint.
        format: told from the bytes.
        tensors: in the file's order, with the names of `Checkpoint` where there is one state dict; else every tensor
            with the dotted name of its place, such as `state.0.exp_avg`, which is empty for a tensor saved by itself.
            Some may be sparse, quantized, nested or without data.
        unheld: names of the tensors that claim more entries than their file holds. Nothing may be computed from them:
            a few bytes can be repeated to fill any memory.
        metadata: the known facts beside them, as `Checkpoint` has them.
    """

    path: Path
    format: Format
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
    if format != "index":
        tensors, facts = _open_file(file, format)
        unheld = frozenset(_unheld(file, tensors))
        return OpenedFile(file, format, tensors, unheld, facts)
    doubtful: set[int] = set()

    def open_shard(shard: Path) -> dict[str, Tensor]:
        own = _open_shard(shard)
        # By identity: another shard may have a sound tensor of the same name.
        doubtful.update(id(own[name]) for name in _unheld(shard, own))
        return own

    tensors = strip_wrappers(read_sharded(file, open_shard)[0])
    unheld = frozenset(name for name, tensor in tensors.items() if id(tensor) in doubtful)
    return OpenedFile(file, "sharded", tensors, unheld, {})


def _open_file(path: Path, format: Sniffed) -> tuple[dict[str, Tensor], dict[str, Fact]]:
    facts: dict[str, Fact]
    if format == "safetensors":
        tensors, metadata = open_safetensors(path)
        facts = {key: metadata[key] for key in FACTS if key in metadata}
        return strip_wrappers(tensors), facts
    from nfn_cli.checkpoints.torch_format import read_torch

    loaded = read_torch(path, zipped=format == "torch").value
    facts = find_facts(loaded)
    try:
        return strip_wrappers(find_state_dict(path, loaded)), facts
    except CheckpointError:
        return _everywhere(loaded), facts


def _open_shard(path: Path) -> dict[str, Tensor]:
    format = sniff(path)
    if format == "index":
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    if format == "safetensors":
        return open_safetensors(path)[0]
    from nfn_cli.checkpoints.torch_format import read_torch

    return find_state_dict(path, read_torch(path, zipped=format == "torch").value)


def _unheld(path: Path, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    size = path.stat().st_size
    return (name for name, tensor in tensors.items() if claims_more(tensor, size))


def _everywhere(loaded: Any) -> dict[str, Tensor]:
    """Every tensor in a loaded object, by the dotted name of its place. What is in several places is entered once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def enter(value: Any, place: tuple[str, ...]) -> None:
        if isinstance(value, Tensor):
            name = ".".join(place)
            # The key `a.b` and the key `b` below `a` look the same.
            found[name if name not in found else f"{name} ({len(found)})"] = plain(value)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen and len(place) < _DEEPEST:
            seen.add(id(value))
            for key, item in _items(value):
                enter(item, (*place, key))

    enter(loaded, ())
    return found


def _items(value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """What is in a container, read past what a file may have put over its methods."""
    if isinstance(value, dict):
        return ((str(key), item) for key, item in dict.items(value) if isinstance(key, str | int))
    return ((str(place), item) for place, item in enumerate(value))
