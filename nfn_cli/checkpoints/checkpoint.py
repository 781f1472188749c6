"""What a file holds once it has been read: named tensors and the few facts beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

Format = Literal["safetensors", "torch", "torch-legacy", "sharded", "memory"]
Fact = str | int | float | bool | tuple[int | float, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and its origin.

    Attributes:
        path: the file that was read; the index, for a sharded checkpoint; of one in memory, what it is called.
        format: told from the bytes.
        tensors: by name, in the file's order, without the prefixes that wrappers add.
        metadata: the known facts (`FACTS`), where the file tells them; texts in safetensors files.
        ordered: whether the file's order is the module's. PyTorch keeps it; safetensors sorts tensors by its own rule.
        ties: names that share memory, each set in the order of `tensors`. A safetensors file holds one of them, and
            tells the others in its metadata: they stand behind it here, and not among `tensors`.
        entry: the entry of a PyTorch file that was asked for, with dots for nested ones; None for the file's only one.
        stripped: what every name in the file begins with and none in `tensors`, such as `module.`.
        files: all that were read, as `together.stamped` gives them, so that it can be told whether they have changed.
    """

    path: Path
    format: Format
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Fact]
    ordered: bool
    ties: tuple[tuple[str, ...], ...] = ()
    entry: str | None = None
    files: tuple[tuple[Path, tuple[int, ...]], ...] = ()
    stripped: str = ""
