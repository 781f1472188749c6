"""What a file holds once it has been read: named tensors and the few facts beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

Fact = str | int | float | bool | tuple[int | float, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and its origin.

    Attributes:
        path: the file that was read; the index, for a sharded checkpoint; of one in memory, what it is called.
        format: name of one of `FORMATS`, seen from the bytes; `memory` for a state dict that has no file.
        tensors: by name, in the file's order, without the prefixes that wrappers add.
        metadata: the known facts (`FACTS`) that the file states; texts in safetensors files.
        ordered: whether the file's order is the module's. PyTorch keeps it; safetensors sorts tensors by its own rule.
        ties: names that share memory, each set in the order of `tensors`. A safetensors file holds one of them, and
            names the others in its metadata: they stand behind it here, and not among `tensors`.
        entry: the entry of a PyTorch file that was asked for, with dots for nested ones; None for the file's only one.
        stripped: what every name in the file begins with and none in `tensors`, such as `module.`.
        files: all that were read, as `replacement.stamped` gives them, to see later whether one has changed.
    """

    path: Path
    format: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Fact]
    ordered: bool
    ties: tuple[tuple[str, ...], ...] = ()
    entry: str | None = None
    files: tuple[tuple[Path, tuple[int, ...]], ...] = ()
    stripped: str = ""
