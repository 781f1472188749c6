"""The first stage of scoring: open files, check them, and group their networks by architecture.

It runs wherever there is a processor to spare, so everything that goes in and comes out can be pickled; tensors travel
as NumPy arrays, which take no file descriptors.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures import (
    Architecture,
    NetworkWeights,
    ReadNetwork,
    Stated,
    joined,
    read_weights,
    to_plain_range,
)
from nfn_cli.architectures.read_classifier import ONE_CHAIN as ONE_CHAIN
from nfn_cli.architectures.stated import stated_entry
from nfn_cli.checkpoints import (
    Checkpoint,
    PackedError,
    StoreError,
    fetched,
    is_address,
    population_of,
    read_checkpoint,
    read_members,
    remote_facts,
)
from nfn_cli.errors import ArchitectureError, CheckpointError, HeadError, NfnError
from nfn_cli.nn import Accepted, choose_head
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.scoring.any_network import (
    NOT_ITS_OWN,
    AnyGroup,
    any_group,
    any_network,
    is_of_configuration,
    labelled_network,
    tracer_of,
)
from nfn_cli.scoring.machine import MORE_MEMORY, is_out_of_memory
from nfn_cli.scoring.rows import Stamp

# Stands in for an unknown activation until the head that reads the layers decides it.
PLACEHOLDER = "identity"
# Networks of a packed file that are read at once.
MEMBERS_TOGETHER = 256
_HASHED = 1 << 20

_Point: TypeAlias = NetworkWeights | AnyNetworks
# Positions of rows, what is assumed of the networks, and the networks as a batch.
_Read: TypeAlias = tuple[list[int], list[str], _Point]


@dataclass(frozen=True)
class Source:
    """A file to score, or a range of the networks of a packed one."""

    path: str
    members: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        """What the rows are called: the path, or `path#index` for each network of a packed file."""
        if self.members is None:
            return [self.path]
        return [member_name(self.path, position) for position in range(*self.members)]


def member_name(path: str, position: int) -> str:
    """The name of one network of a packed file."""
    return f"{path}#{position}"


@dataclass(frozen=True)
class ReadSettings:
    """How files are read.

    Attributes:
        accepted: what each head reads, by its name; the first that reads a network gets it.
        activation: of all networks, over what their files say.
        hashed: stamp files with a hash of their contents.
        largest: bytes; a larger file is refused.
        fitted_by: the command that fits heads such as these, for the error of a network that none reads.
        cut: of packed files, by their names, how many networks count: the first ones.
        model: `FILE.py:FACTORY`, the user's module, by which networks are read for a head that reads any classifier.
        input_shape: of one input of theirs, where it is stated.
    """

    accepted: Mapping[str, Accepted]
    activation: str | None = None
    hashed: bool = False
    largest: int = 1 << 62
    fitted_by: str = "nfn train"
    cut: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    input_shape: tuple[int, ...] | None = None

    @property
    def any_head(self) -> str | None:
        """The head that reads any classifier, where there is one."""
        return next((name for name, own in self.accepted.items() if own.is_any), None)

    @property
    def asks_special(self) -> bool:
        """Whether heads for one architecture are asked first: not where a module says what the networks are."""
        return self.model is None and not all(own.is_any for own in self.accepted.values())


@dataclass(frozen=True)
class Group:
    """Networks of one architecture for one head.

    Attributes:
        positions: of their rows in the chunk.
        assumed: what was assumed, as the head reads it, because no file states it, each with the number of networks.
        arrays: [networks, *shape] by name.
    """

    positions: list[int]
    head: str
    assumed: Mapping[str, int]
    architecture: Architecture
    arrays: dict[str, np.ndarray[Any, Any]]

    @property
    def alike(self) -> object:
        """Equal for networks that go through a head together."""
        return self.architecture.signature

    def moved(self, rows: int) -> Group:
        """The same group, in a chunk that has so many rows before these."""
        return replace(self, positions=[position + rows for position in self.positions])

    def point(self) -> NetworkWeights:
        """The networks as a batch."""
        return NetworkWeights(self.architecture, {name: torch.from_numpy(array) for name, array in self.arrays.items()})


@dataclass(frozen=True)
class ReadChunk:
    """What a chunk of sources holds.

    Attributes:
        names, stamps: of every row, in the order of the sources. A row has no stamp where its file may be read another
            time though it stays as it is (it could not be opened, or there was too little memory).
        failures: why rows have no network, by position.
        packed: files that turned out to be packed, by the position in the chunk of the source and with the number of
            their networks; they have no row here.
    """

    names: list[str]
    stamps: list[Stamp | None]
    groups: list[Group | AnyGroup]
    failures: dict[int, NfnError]
    packed: dict[int, int]


def read_chunk(sources: Sequence[Source], settings: ReadSettings) -> ReadChunk:
    """Read some sources; one that fails fails alone."""
    names: list[str] = []
    stamps: list[Stamp | None] = []
    failures: dict[int, NfnError] = {}
    packed: dict[int, int] = {}
    read: dict[tuple[object, str], list[_Read]] = {}
    for number, source in enumerate(sources):
        stamp: Stamp | None = None
        try:
            with ExitStack() as stack:
                now = stamp_of(source.path, hashed=False)
                if now.bytes > settings.largest:
                    cause = f"has {now.bytes:,} bytes, more than fit into memory"
                    raise CheckpointError(source.path, cause, "score it on a machine with more")
                local = Path(source.path)
                if is_address(source.path) and source.members is None:
                    local = stack.enter_context(fetched(source.path))
                stamp = now
                if settings.hashed and not (source.members and is_address(source.path)):
                    stamp = Stamp(stamp.bytes, stamp.modified, _hash(local, stamp.bytes, stamp.modified))
                positions = list(range(len(names), len(names) + len(source.names)))
                point, head, assumed = _read(source, local, settings)
                alike = point.architecture.signature if isinstance(point, NetworkWeights) else None
                read.setdefault((alike, head), []).append((positions, assumed, point))
        except _Packed as found:
            packed[number] = found.count
            continue
        except (NfnError, OSError, MemoryError, RuntimeError) as error:
            failure = _failure(error, source.path)
            if _may_pass(error, source.path):
                stamp = None
            failures |= dict.fromkeys(range(len(names), len(names) + len(source.names)), failure)
        names += source.names
        stamps += [stamp] * len(source.names)
    groups = [_group(head, parts) for (_, head), parts in read.items()]
    return ReadChunk(names, stamps, groups, failures, packed)


def stamp_of(path: str, *, hashed: bool) -> Stamp:
    """What shows whether a file has changed.

    Raises:
        CheckpointError: there is none, or it cannot be reached.
    """
    if is_address(path):
        facts = remote_facts(path)
        return Stamp(facts.bytes, facts.version)
    try:
        status = os.stat(path)
        stamp = Stamp(status.st_size, str(status.st_mtime_ns))
        return Stamp(stamp.bytes, stamp.modified, _hash(Path(path), stamp.bytes, stamp.modified)) if hashed else stamp
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = error.strerror if isinstance(error, OSError) else error
        cause = "no such file" if missing else f"cannot be read ({reason})"
        raise CheckpointError(path, cause, "check the path and its permissions") from error


@lru_cache(maxsize=16)
def _hash(path: Path, size: int, modified: str) -> str:
    # A packed file is asked for once for each part or row of it: `size` and `modified` tell one state from another.
    contents = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASHED):
                contents.update(block)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    return contents.hexdigest()


class _Packed(Exception):
    """A file turned out to hold so many networks."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def _read(source: Source, path: Path, settings: ReadSettings) -> tuple[_Point, str, list[str]]:
    """Networks as a batch, the head that reads them, and what is assumed of them."""
    members: dict[str, Tensor] | None = None
    stated = Stated(activation=settings.activation)
    if source.members is not None:
        checkpoint, members = read_members(source.path, *source.members)
    else:
        try:
            checkpoint = read_checkpoint(path, entry=stated_entry(path))
        except PackedError as error:
            if count := population_of(path):
                raise _Packed(min(count, settings.cut.get(source.path, count))) from error
            cause = "a packed population whose tensors are not those of so many networks"
            raise CheckpointError(path, cause, "copy it again, or generate the zoo again") from error
    if settings.any_head is None:
        return _read_special(checkpoint, members, stated, settings)
    tracer = tracer_of(settings.model, settings.input_shape)
    if settings.asks_special:
        try:
            point, head, assumed = _read_special(checkpoint, members, stated, settings)
        except (ArchitectureError, HeadError):
            pass  # it may be a classifier all the same
        else:
            beside = is_of_configuration(checkpoint, tracer) if assumed else None
            if beside is None:
                return point, head, assumed
            if not beside:
                return point, head, [*assumed, NOT_ITS_OWN]
            # What would be assumed is known from its configuration.
    read = labelled_network if settings.accepted[settings.any_head].by_labels else any_network
    found = [read(own, stated, tracer) for own in _each(checkpoint, members)]
    return joined_any([own for own, _ in found]), settings.any_head, found[0][1]


def _each(checkpoint: Checkpoint, members: Mapping[str, Tensor] | None) -> Iterator[Checkpoint]:
    """The networks of a checkpoint, or those that are packed in one."""
    if members is None:
        yield checkpoint
        return
    for position in range(len(next(iter(members.values())))):
        tensors = {name: tensor[position] for name, tensor in members.items()}
        broken = next((name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())), None)
        if broken is not None:
            raise _not_finite(checkpoint.path, broken)
        yield replace(checkpoint, tensors=tensors)


def _read_special(
    checkpoint: Checkpoint, members: Mapping[str, Tensor] | None, stated: Stated, settings: ReadSettings
) -> tuple[NetworkWeights, str, list[str]]:
    """Networks [networks, *shape], the head for their architecture that reads them, and what is assumed of them."""
    network = read_weights(checkpoint, stated, default_activation=PLACEHOLDER)
    head, architecture, assumed = head_for(network, settings)
    if members is None:
        tensors = {name: tensor[None] for name, tensor in network.weights.tensors.items()}
    else:
        path = checkpoint.path
        names = [spec.name for spec in architecture.tensors]
        if set(names) != set(members):
            cause = "its members need conversion (folded layers or missing biases)"
            raise CheckpointError(path, cause, "store one file a network")
        broken = [name for name in names if not bool(members[name].isfinite().all())]
        if broken:
            raise _not_finite(path, broken[0])
        tensors = {name: members[name].to(torch.promote_types(members[name].dtype, torch.float32)) for name in names}
    return to_plain_range(NetworkWeights(architecture, tensors), network.activation.value_range), head, assumed


def _not_finite(path: Path, name: str) -> CheckpointError:
    return CheckpointError(path, f"tensor {name!r} of some member is not finite", "leave that one out")


def head_for(network: ReadNetwork, settings: ReadSettings) -> tuple[str, Architecture, list[str]]:
    """The head that reads a network, the architecture under which it does, and what is assumed of the network.

    Raises:
        ArchitectureError: it is more than one plain chain.
        HeadError: no head reads it.
    """
    unknown = network.activation.source == "assumed"
    architecture = network.plain().weights.architecture
    head, architecture = choose_head(
        architecture, settings.accepted, assume_activation=unknown, fitted_by=settings.fitted_by
    )
    assumed = [f"activation {architecture.activation}"] if unknown else []
    if network.assumes_frequency and architecture.activation == "sin":
        assumed.append(f"omega_0 {architecture.omega_0:g}")
    if not network.is_stated and len(architecture.layers) > 1:
        assumed.append(ONE_CHAIN)
    return head, architecture, assumed


def _group(head: str, parts: Sequence[_Read]) -> Group | AnyGroup:
    positions = [position for own, _, _ in parts for position in own]
    assumed: Counter[str] = Counter()
    for own, names, _ in parts:
        assumed += Counter(dict.fromkeys(names, len(own)))
    points = [point for _, _, point in parts if isinstance(point, NetworkWeights)]
    if not points:
        others = [point for _, _, point in parts if not isinstance(point, NetworkWeights)]
        return any_group(positions, head, assumed, others)
    point = joined(points)
    arrays = {name: tensor.numpy() for name, tensor in point.tensors.items()}
    return Group(positions, head, assumed, point.architecture, arrays)


def _failure(error: Exception, path: str) -> NfnError:
    """The error, about the file as it was named rather than about a copy of it."""
    if not isinstance(error, NfnError):
        if is_out_of_memory(error):
            return CheckpointError(path, "does not fit into memory", MORE_MEMORY)
        if isinstance(error, OSError):
            cause = f"cannot be read ({error.strerror or error})"
            return CheckpointError(path, cause, "check the path and its permissions")
        raise error
    if not is_address(path) or error.subject.startswith(path):
        return error
    return CheckpointError(path, error.cause, error.remedy)


def _may_pass(error: Exception, path: str) -> bool:
    """Whether the file may be read another time, as it is."""
    if not isinstance(error, NfnError) or isinstance(error, StoreError):
        return True
    return not is_address(path) and not os.access(path, os.R_OK)
