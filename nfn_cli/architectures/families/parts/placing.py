"""Modules under names with dots, so that one forward pass serves several layouts of names."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Placed = TypeVar("Placed", bound=nn.Module)


def put(root: nn.Module, name: str, module: Placed) -> Placed:
    """Register a module below another one: `attention.output.dense` makes what lies between."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)
    return module
