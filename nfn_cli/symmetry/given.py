"""Networks as Python programs give them: paths, state dicts and modules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.in_memory import InMemory, in_memory, in_order
from nfn_cli.architectures.traced import NetworkTracer, shapes_of
from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.symmetry.sources import read_any
from nfn_cli.symmetry.transform import read_source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


class StatedOptions(TypedDict, total=False):
    """How networks are read, in every function that takes them."""

    activation: str | None
    pool: str | None
    omega_0: float | Sequence[float] | None
    chain: bool
    prefix: str | None
    inputs: Any


Network: TypeAlias = "str | os.PathLike[str] | Mapping[str, Tensor] | nn.Module"


@dataclass(frozen=True)
class Given:
    """A network to be read.

    Attributes:
        where: its file, or its tensors in memory.
        stated: what the caller says of it, and a module that is a chain shows.
        module: of a module, how it was traced.
    """

    where: Path | Checkpoint
    stated: Stated
    module: InMemory | None = None

    def tracer(self, *, gauges: bool = False) -> NetworkTracer:
        """Traces the module, unless that is a chain, which is read without tracing."""
        user = None if self.module is None or self.module.chain is not None else self.module.user
        return NetworkTracer(user, gauges=gauges)


def opened(network: Network, stated: Stated, inputs: Any = None) -> Given:
    """Look at a network in memory; a path stays as it is.

    Raises:
        UsageError, CheckpointError, ArchitectureError: as `in_memory`.
    """
    if isinstance(network, str | os.PathLike):
        return Given(Path(network), stated)
    found = in_memory(network, stated, inputs=inputs)
    return Given(found.checkpoint, found.stated, found if found.user is not None else None)


def read_given(given: Given, by: InMemory | None = None, *, gauges: bool = False) -> AnySource:
    """Read a network.

    A module is read by its graph: as a chain where it is one, otherwise traced. A state dict is read as a file is.

    Args:
        by: a module; a file or state dict with the same tensors is read as this module.
        gauges: whether to trace with gauges.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    if given.module is not None:
        return _by_module(given.module, given.module.checkpoint, gauges=gauges)
    if by is not None and (own := _fitting(given.where, by)) is not None:
        return _by_module(by, own, gauges=gauges)
    return read_any(given.where, given.stated, NetworkTracer(gauges=gauges))


def read_two(
    a: Network, b: Network, stated: Stated, inputs: Any = None, *, gauges: bool = False
) -> tuple[AnySource, AnySource]:
    """Read two networks. Where one of them is a module, and the other's tensors are its own, both are read by it.

    Args:
        stated: of both.
        inputs: of one forward pass of a module.
        gauges: whether to trace with gauges.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `opened` and `read_given`.
    """
    first, second = (opened(network, stated, inputs if isinstance(network, nn.Module) else None) for network in (a, b))
    by = first.module or second.module
    return read_given(first, by, gauges=gauges), read_given(second, by, gauges=gauges)


def assumed_of_two(first: AnySource, second: AnySource) -> str | None:
    """What was taken for granted of two networks, that of the second where it is something else."""
    one, other = first.reading.assumed, second.reading.assumed
    parts = [one] if one else []
    return "; ".join([*parts, f"of B: {other}"] if other and other != one else parts) or None


def _by_module(module: InMemory, checkpoint: Checkpoint, *, gauges: bool) -> AnySource:
    if module.chain is not None:
        return read_source(replace(checkpoint, tensors=in_order(checkpoint, module.chain), ordered=True), module.stated)
    return read_any(checkpoint, Stated(), NetworkTracer(module.user, gauges=gauges))


def _fitting(where: Path | Checkpoint, by: InMemory) -> Checkpoint | None:
    """The tensors of a file or state dict, where they are those of a module, name for name and shape for shape."""
    from nfn_cli.architectures.tracing.fitting import difference

    assert by.user is not None
    checkpoint = where if isinstance(where, Checkpoint) else read_checkpoint(where)
    shapes = {checkpoint.stripped + name: shape for name, shape in shapes_of(checkpoint).items()}
    return checkpoint if difference(by.user.module, shapes) is None else None
