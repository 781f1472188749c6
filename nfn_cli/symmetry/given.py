"""Networks as Python programs give them, for the group to act on: paths, state dicts and modules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor, nn

from nfn_cli.architectures import Told
from nfn_cli.architectures.in_memory import InMemory, in_memory, in_order
from nfn_cli.architectures.traced import NetworkTracer, shapes_of
from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.symmetry.sources import read_any
from nfn_cli.symmetry.transform import read_source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

Network: TypeAlias = "str | os.PathLike[str] | Mapping[str, Tensor] | nn.Module"


def opened(network: Network, told: Told, inputs: Any = None, name: str | None = None) -> Path | InMemory:
    """A path as it is, and a network in memory looked at.

    Raises:
        UsageError, CheckpointError, ArchitectureError: as `in_memory`.
    """
    if isinstance(network, str | os.PathLike):
        return Path(network)
    return in_memory(network, told, inputs=inputs, name=name)


def read_given(given: Path | InMemory, told: Told, by: InMemory | None = None) -> AnySource:
    """Read a network.

    A module is read by its graph: as a chain where it is one, else traced. A state dict is read as a file is.

    Args:
        told: what the caller says of a file.
        by: a module to read by what is no module itself, where it has the same tensors.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    if isinstance(given, InMemory) and given.user is not None:
        return _by_module(given, given.checkpoint)
    if by is not None and (own := _fitting(given, by)) is not None:
        return _by_module(by, own)
    if isinstance(given, InMemory):
        return read_any(given.checkpoint, given.told, NetworkTracer())
    return read_any(given, told, NetworkTracer())


def _by_module(module: InMemory, checkpoint: Checkpoint) -> AnySource:
    if module.chain is not None:
        return read_source(replace(checkpoint, tensors=in_order(checkpoint, module.chain), ordered=True), module.told)
    return read_any(checkpoint, Told(), NetworkTracer(module.user))


def _fitting(given: Path | InMemory, by: InMemory) -> Checkpoint | None:
    """The tensors of a file or state dict, where they are those of a module, name for name and shape for shape."""
    from nfn_cli.architectures.tracing.fitting import difference

    assert by.user is not None
    checkpoint = given.checkpoint if isinstance(given, InMemory) else read_checkpoint(given)
    shapes = {checkpoint.stripped + name: shape for name, shape in shapes_of(checkpoint).items()}
    return checkpoint if difference(by.user.module, shapes) is None else None
