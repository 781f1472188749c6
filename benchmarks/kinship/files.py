"""Networks as files: tensors, how a chain is to be read, and the configuration beside those that need one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CONFIG = "config.json"
Tensors = Mapping[str, Tensor]


def config_of(network: nn.Module) -> str | None:
    """The configuration of a language model as JSON; of others none."""
    if not hasattr(network, "config"):
        return None
    return json.dumps(network.config.to_dict(), indent=1, sort_keys=True, default=str)  # type: ignore[operator,union-attr]


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """The state, each tensor with memory of its own; of tied tensors the first alone, as Hugging Face writes them."""
    found: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, value in network.state_dict().items():
        if value.data_ptr() not in places or not value.numel():
            places.add(value.data_ptr())
            found[name] = value.detach().clone().contiguous()
    return found


def write(path: Path, tensors: Tensors, config: str | None = None) -> Path:
    """Write a network; a file that is there was written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if config is not None and not (path.parent / CONFIG).exists():
        (path.parent / CONFIG).write_text(config)
    metadata = {"format": "pt"} if config is not None else {"format": "pt", "activation": "relu", "pool": "none"}
    if config is None and any(".running_" in name for name in tensors):
        metadata = {"format": "pt"}  # a ResNet is read by its names
    partial = path.with_suffix(f".{os.getpid()}")  # another process may be making the same
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata=metadata)
    os.replace(partial, path)
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file."""
    return load_file(path)


def config_beside(path: Path) -> str | None:
    """The configuration of a language model's file."""
    beside = path.parent / CONFIG
    return beside.read_text() if beside.exists() else None
