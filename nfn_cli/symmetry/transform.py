"""Act on a whole checkpoint: from file to file, in the file's own layout and dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Reading, ReadNetwork, Stated, read_network
from nfn_cli.checkpoints import Checkpoint, PartedTensors
from nfn_cli.errors import ArchitectureError, CheckpointError
from nfn_cli.precision import coarsest
from nfn_cli.symmetry.action import acted_rows
from nfn_cli.symmetry.diagonal_kinds import depends_on_pooling
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.neurons import CHUNK


@dataclass(frozen=True)
class Source:
    """A checkpoint that the group can act on: the file, the network in it, and the roles of the file's own tensors."""

    checkpoint: Checkpoint
    network: ReadNetwork
    stored: Architecture

    @property
    def reading(self) -> Reading:
        """What was read, in words, and what was assumed."""
        return self.network.reading

    @property
    def read_as(self) -> str:
        """Such as `the chain conv1 → conv2 → fc with relu`."""
        chains = f"the chain{'s' * (len(self.stored.starts) > 1)} {self.reading.network}"
        return f"{chains} with {self.reading.activation or 'no activation'}"

    @property
    def beside(self) -> dict[str, Tensor]:
        """The network's tensors on which the group does not act, without counters."""
        acted_on = {spec.name for spec in self.stored.tensors}
        own = {name: self.checkpoint.tensors[name] for name in self.network.names if name not in acted_on}
        return {
            name: tensor
            for name, tensor in own.items()
            if tensor.is_floating_point() or (tensor.numel() > 1 and not name.endswith(".num_batches_tracked"))
        }

    @property
    def precision(self) -> torch.dtype:
        """The coarsest dtype among the tensors that the group acts on."""
        dtypes = {self.checkpoint.tensors[spec.name].dtype for spec in self.stored.tensors}
        return coarsest(dtypes)


class TransformedTensors(PartedTensors):
    """A checkpoint's tensors after an element has acted, by their names in the checkpoint and in the file's dtype.

    Each is computed in float64 when it is asked for, rounded, and not kept, so that memory never holds a large network
    twice.

    Attributes:
        rounding: the largest error of rounding among the tensors asked for, relative to the largest entry of the same
            tensor.

    Raises:
        CheckpointError: on asking, where a number leaves the range of the dtype.
    """

    def __init__(self, source: Source, element: GroupElement) -> None:
        self.source = source
        self.element = element
        self.specs = {spec.name: spec for spec in source.stored.tensors}
        self.rounding = 0.0

    def __getitem__(self, name: str) -> Tensor:
        new = torch.empty_like(self.source.checkpoint.tensors[name], memory_format=torch.contiguous_format)
        start = 0
        for part in self.parts(name):
            new[start : start + len(part)] = part
            start += len(part)
        return new

    def parts(self, name: str) -> Iterator[Tensor]:
        """The tensor's rows, a few at a time, so that they stay in a processor's cache until they are written."""
        spec, old = self.specs[name], self.source.checkpoint.tensors[name]
        largest = lost = 0.0
        count = max(1, CHUNK // max(1, old[:1].numel()))
        for exact in acted_rows(self.element, old, spec, self.source.stored.omegas_of_groups, count):
            part = exact.to(old.dtype)
            largest = max(largest, _size(part))
            if largest > torch.finfo(old.dtype).max:
                kind = str(old.dtype).removeprefix("torch.")
                cause = f"tensor {name!r} would leave the range of {kind}"
                raise CheckpointError(self.source.checkpoint.path, cause, "convert the checkpoint to float32 first")
            if part.dtype != exact.dtype:
                lost = max(lost, _size(exact.sub_(part.double())))  # a float64 copy that is not used again
            yield part
        self.rounding = max(self.rounding, lost / largest if largest else 0.0)

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)


def read_source(
    path: Path | Checkpoint, stated: Stated | None = None, *, activation: str | None = None, pool: str | None = None
) -> Source:
    """Read a checkpoint for the group to act on.

    Args:
        stated: what the caller says of the network; `activation` and `pool` are short for its own.

    Raises:
        CheckpointError, ArchitectureError: it cannot be read as a chain, its activation is not known, or it is not
            known whether a max-pooling, which does not commute with signs, follows an odd activation.
    """
    checkpoint, network = read_network(path, (stated or Stated()).and_of(activation, pool))
    architecture = network.weights.architecture
    if depends_on_pooling(architecture):
        cause = f"max-pooling would forbid sign flips of {architecture.activation}, and no file says the pooling"
        raise ArchitectureError(checkpoint.path, cause, "say which it is: --pool max, avg or none")
    return Source(checkpoint, network, network.stored())


def transformed(source: Source, element: GroupElement) -> TransformedTensors:
    """The tensors of a checkpoint after an element has acted, by their names in the file."""
    return TransformedTensors(source, element)


def _size(values: Tensor) -> float:
    low, high = values.aminmax()
    return max(-low.item(), high.item())


def named_places(architecture: Architecture, positions: Sequence[Sequence[int]]) -> str | None:
    """Neurons by layer, such as `conv1:3,7 fc1:0`; None where there are none."""
    named = [
        f"{group.name}:{','.join(map(str, own))}"
        for group, own in zip(architecture.groups, positions, strict=True)
        if len(own)
    ]
    return " ".join(named) or None
