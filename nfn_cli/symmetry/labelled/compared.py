"""Two checkpoints of traced networks compared along their orbit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from nfn_cli.architectures.traced import COUNTS
from nfn_cli.precision import coarsest
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.labelled.alignment import LabelledAlignment, align, beside_residuals
from nfn_cli.symmetry.labelled.source import LabelledSource


class Renamed(Mapping[str, Tensor]):
    """Tensors by the names that the other file has for them; each is read as it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def align_sources(
    source: LabelledSource,
    target: LabelledSource,
    *,
    scaled: bool = True,
    search: bool = True,
    watch: Watch = UNWATCHED,
) -> LabelledAlignment:
    """Find the element that brings A next to B, by the coarser of their dtypes.

    Tensors on which the group does not act have to be equal.

    Args:
        source, target: A and B, of one architecture.
        scaled: whether scales and signs may be used beside permutations.
        search: without it both are compared where they lie.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    names = names_in_other(source, target)
    theirs = Renamed(target.checkpoint.tensors, names)
    precision = coarsest((source.precision, target.precision))
    ours = source.checkpoint.tensors
    found = align(source.architecture, ours, theirs, precision, scaled=scaled, search=search, watch=watch)
    acted_on = {name for tensor in source.architecture.tensors if tensor.uses for name in tensor.names}
    beside = {name for name in names if name not in acted_on and not name.endswith(COUNTS)}
    rests = ({name: own[name] for name in beside} for own in (ours, theirs))
    left = beside_residuals(target.checkpoint.path, source.architecture, *rests)
    permuted = None if found.permuted is None else (*found.permuted, *left)
    return replace(found, residuals=(*found.residuals, *left), permuted=permuted)


def names_in_other(source: LabelledSource, target: LabelledSource) -> dict[str, str]:
    """B's name of every tensor by A's: of names that are tied, any."""
    ours, theirs = source.network.names, target.network.names
    named = {ours[name]: theirs[name] for name in ours if name in theirs}
    for mine, other in zip(source.architecture.tensors, target.architecture.tensors, strict=True):
        named.update({name: other.names[0] for name in mine.names if name not in named})
    return named
