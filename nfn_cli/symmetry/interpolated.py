"""The weights between two networks: (1 − t)·A + t·g·B, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfn_cli.architectures.traced import dtypes_of, shapes_of
from nfn_cli.checkpoints import PartedTensors
from nfn_cli.checkpoints.tensors_in_parts import parts_of
from nfn_cli.errors import ArchitectureError, CheckpointError
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource, AnyTransformed

_STATISTICS = (".running_mean", ".running_var")


class InterpolatedTensors(PartedTensors):
    """A file's tensors interpolated with another network's, by the file's names and in its dtypes.

    All of the network's tensors of floating point are interpolated, also those on which the group does not act. Each is
    computed in float64 when it is asked for, and not kept.

    Args:
        reference: A. source: B, whose file's names, order and dtypes are used.
        moved: g·B.
        share: t, of g·B.

    Attributes:
        statistics: whether there are running statistics of a BatchNorm among them.

    Raises:
        ArchitectureError: the two files do not store their networks alike.
        CheckpointError: on asking, where a number leaves the range of the dtype.
    """

    def __init__(self, reference: AnySource, source: AnySource, moved: AnyTransformed, share: float) -> None:
        self._path = source.checkpoint.path
        self._ours, self._theirs = source.checkpoint.tensors, reference.checkpoint.tensors
        self._moved, self._acted_on, self._share = moved, frozenset(moved), share
        ours, theirs = dtypes_of(source.checkpoint), dtypes_of(reference.checkpoint)
        self._names = {
            name: other
            for name, other in names_of_pairs(reference, source).items()
            if ours[name].is_floating_point and theirs[other].is_floating_point
        }
        self.statistics = any(name.endswith(_STATISTICS) for name in self._names)
        self._estimated: Mapping[str, Tensor] = {}

    def put(self, estimated: Mapping[str, Tensor]) -> None:
        """Take other numbers for some tensors, such as running statistics that were estimated on data."""
        self._estimated = dict(estimated)

    @property
    def rounding(self) -> float:
        """The largest error of rounding g·B among the tensors asked for, relative to the tensor's largest entry."""
        return self._moved.rounding

    def __getitem__(self, name: str) -> Tensor:
        parts = list(self.parts(name))
        old = self._ours[name]
        return torch.cat(parts) if old.ndim and parts else parts[0].reshape(old.shape) if parts else old.clone()

    def parts(self, name: str) -> Iterator[Tensor]:
        """The tensor's rows, a few at a time."""
        if name in self._estimated:
            yield self._estimated[name]
            return
        theirs, start = torch.atleast_1d(self._theirs[self._names[name]]), 0
        ours = parts_of(self._moved, name) if name in self._acted_on else iter((self._ours[name],))
        for part in ours:
            rows = torch.atleast_1d(part)
            exact = (1 - self._share) * theirs[start : start + len(rows)].double() + self._share * rows.double()
            start += len(rows)
            new = exact.to(part.dtype)
            if bool((new.isinf() & exact.isfinite()).any()):
                kind = str(part.dtype).removeprefix("torch.")
                cause = f"tensor {name!r} would leave the range of {kind}"
                raise CheckpointError(self._path, cause, "convert the checkpoint to float32 first")
            yield new.reshape(part.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def names_of_pairs(reference: AnySource, source: AnySource) -> Mapping[str, str]:
    """A's name in its file of every tensor of the network, by B's.

    Raises:
        ArchitectureError: the two files do not store their networks alike.
    """
    if isinstance(source, Source):
        assert isinstance(reference, Source)
        names = _names_of_chains(reference, source)
    else:
        from nfn_cli.symmetry.labelled.compared import names_in_other

        assert not isinstance(reference, Source)
        names = names_in_other(source, reference)
    ours, theirs = shapes_of(source.checkpoint), shapes_of(reference.checkpoint)
    pairs = {name: other for name, other in names.items() if name in ours}
    for name, other in pairs.items():
        if ours[name] != theirs.get(other):
            raise _stored_otherwise(reference, source, f"{name!r} has another shape, or is not there")
    return pairs


def _names_of_chains(reference: Source, source: Source) -> dict[str, str]:
    ours, theirs = source.stored.tensors, reference.stored.tensors
    kinds = [[(spec.name.rpartition(".")[2], spec.shape) for spec in specs] for specs in (ours, theirs)]
    if kinds[0] != kinds[1]:
        counts = f"{len(ours)} tensors of its layers in the one and {len(theirs)} in the other"
        raise _stored_otherwise(reference, source, counts if len(ours) != len(theirs) else "in other tensors")
    names = {mine.name: other.name for mine, other in zip(ours, theirs, strict=True)}
    mine, other = source.beside, reference.beside
    beside = zip(mine, mine if set(mine) == set(other) else other, strict=True)
    return names | dict(beside)


def _stored_otherwise(reference: AnySource, source: AnySource, how: str) -> ArchitectureError:
    cause = f"its network is stored otherwise than that of {reference.checkpoint.path} ({how})"
    return ArchitectureError(source.checkpoint.path, cause, "interpolate files that one program wrote")
