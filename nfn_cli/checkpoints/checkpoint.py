"""What a file holds once it has been read: named tensors and the few facts beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

Format = Literal["safetensors", "torch", "torch-legacy", "sharded"]
Fact = str | int | float | bool


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and its origin.

    Attributes:
        path: the file that was read; the index, for a sharded checkpoint.
        format: told from the bytes.
        tensors: by name, in the file's order, without the prefixes that wrappers add.
        metadata: the known facts `activation`, `arch`, `omega_0`, `pool` and `value_range`, where the file tells them.
        ordered: whether the file's order is the module's. PyTorch keeps it; safetensors sorts tensors by its own rule.
    """

    path: Path
    format: Format
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Fact]
    ordered: bool
