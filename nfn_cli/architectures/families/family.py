"""What a family of networks offers, and what one network of it is recognised as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

Config = Mapping[str, Any]
Shapes = Mapping[str, tuple[int, ...]]
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class ReferenceModule:
    """A module of our own that has a file's tensors, name for name, and computes what the library's class computes.

    Attributes:
        family: such as `Llama`.
        text: what was recognised, such as `Llama, 16 layers, 32 heads in 8 groups of one key-value head`.
        make: builds the module, on torch's default device (`with torch.device("meta"):` for one without weights). It
            has no buffers, so its state dict loaded with `assign=True` is all that it needs. It is made for evaluation:
            no dropout, no cache, no control flow that looks at values.
        inputs: (batch, device) to positional and keyword arguments of its forward pass.
        ignored: matches names that files may have and the function does not read (such as stored masks).
        ties: names that are one tensor, each group in the order of the state dict. A file may have only some names of a
            group; values that differ within a group are another network.
        assumptions: what the file does not tell and is taken to be so, in a few words each.
    """

    family: str
    text: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int, torch.device | str], Inputs]
    ignored: str | None = None
    ties: tuple[tuple[str, ...], ...] = ()
    assumptions: tuple[str, ...] = ()


FromConfig = Callable[[Config, Shapes], "ReferenceModule | None"]
FromShapes = Callable[[Shapes], "ReferenceModule | None"]


@dataclass(frozen=True)
class Family:
    """A known family of networks.

    Attributes:
        name: for people.
        from_config: the network that `config.json` tells, given the file's shapes (they tell which head is there). None
            where the configuration is another family's. Raises `Refusal` for one of this family that is not understood.
        from_shapes: the network that names and shapes tell; None where they do not.
    """

    name: str
    from_config: FromConfig
    from_shapes: FromShapes
