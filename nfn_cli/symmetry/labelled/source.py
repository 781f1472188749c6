"""A checkpoint whose network was traced, for the group to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.reading import Reading
from nfn_cli.architectures.traced import NetworkTracer, TracedNetwork, dtypes_of
from nfn_cli.checkpoints import Checkpoint, open_checkpoint
from nfn_cli.checkpoints.tensors_in_parts import parts_of
from nfn_cli.errors import ArchitectureError
from nfn_cli.precision import coarsest


@dataclass(frozen=True)
class LabelledSource:
    """A checkpoint, opened and not read, and the network in it."""

    checkpoint: Checkpoint
    network: TracedNetwork

    @property
    def architecture(self) -> LabelledArchitecture:
        """On the names of the file."""
        return self.network.architecture

    @property
    def reading(self) -> Reading:
        """What was read, in words, and what was assumed."""
        return self.network.reading

    @property
    def read_as(self) -> str:
        """Such as `the module of Net`."""
        return self.reading.text

    def assuming(self, what: str) -> LabelledSource:
        """The same, read with one more assumption."""
        reading = replace(self.reading, assumptions=(*self.reading.assumptions, what))
        return replace(self, network=replace(self.network, reading=reading))

    @property
    def precision(self) -> torch.dtype:
        """The coarsest dtype among the tensors that the group acts on."""
        dtypes = dtypes_of(self.checkpoint)
        acted_on = {dtypes[name] for tensor in self.architecture.tensors for name in tensor.names}
        floating = [dtype for dtype in acted_on if dtype.is_floating_point] or [torch.float32]
        return coarsest(floating)


def open_labelled(
    path: Path | Checkpoint,
    tracer: NetworkTracer,
    *,
    entry: str | None = None,
    config: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> LabelledSource | None:
    """Open a checkpoint and trace its network: the module that is given, or that of a known family.

    Args:
        config: says which family it is; without it names and shapes do.
        strict: refuse what is only recognised by names and shapes.

    Returns:
        None where no module is given and no known family is recognised.

    Raises:
        CheckpointError: the file cannot be read.
        UsageError, ArchitectureError: as `NetworkTracer`; tied tensors differ in the file.
    """
    checkpoint = path if isinstance(path, Checkpoint) else open_checkpoint(path, entry=entry)
    network = tracer.by_reference(checkpoint, config) if tracer.model is None else tracer.by_model(checkpoint)
    if network is None:
        return None
    if strict and network.how == "names":
        remedy = "give the module itself (--model), or the configuration beside the file"
        cause = f"{network.reading.text} is recognised by names and shapes alone"
        raise ArchitectureError(checkpoint.path, cause, remedy)
    for first, *others in network.ties:
        for other in others:
            if not _equal(checkpoint, first, other):
                cause = f"{other} is {first} in the network, and has other numbers in the file"
                raise ArchitectureError(checkpoint.path, cause, "give the network that wrote the file (--model)")
    return LabelledSource(checkpoint, network)


def _equal(checkpoint: Checkpoint, first: str, other: str) -> bool:
    parts = zip_longest(*(parts_of(checkpoint.tensors, name) for name in (first, other)))
    return all(a is not None and b is not None and torch.equal(a, b) for a, b in parts)
