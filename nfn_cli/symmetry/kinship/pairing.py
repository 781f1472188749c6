"""Two networks of one architecture by one set of names, with labels: what the score and the exact test read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.action import act_on_tensor
from nfn_cli.symmetry.alignment import renamed
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.labelled import TransformedTensors
from nfn_cli.symmetry.labelled.chains import label_chain
from nfn_cli.symmetry.labelled.compared import Renamed, names_in_other

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement, AnySource
from nfn_cli.symmetry.transform import Source


@dataclass(frozen=True)
class Pair:
    """Two networks, the second one after an element has acted on it.

    Attributes:
        architecture: of both.
        reference, moved: A's and g·B's tensors, by the architecture's names; each is read as it is asked for.
        names: A's own name of each tensor.
    """

    architecture: LabelledArchitecture
    reference: Mapping[str, Tensor]
    moved: Mapping[str, Tensor]
    names: Mapping[str, str]


def pair_of(reference: AnySource, source: AnySource, element: AnyElement) -> Pair:
    """A and g·B.

    Args:
        reference, source: A and B, of one architecture.
        element: g, of B's group.
    """
    if isinstance(source, Source):
        assert isinstance(reference, Source) and isinstance(element, GroupElement)
        theirs = reference.network.weights
        ours = renamed(source.network.weights, theirs.architecture)
        moved = _MovedChain(theirs.architecture, ours.tensors, element)
        names = {name: name for name in theirs.tensors}
        return Pair(label_chain(theirs.architecture), theirs.tensors, moved, names)
    assert not isinstance(reference, Source) and not isinstance(element, GroupElement)
    own = source.checkpoint
    names = dict(names_in_other(source, reference))
    return Pair(
        source.architecture,
        Renamed(reference.checkpoint.tensors, names),
        TransformedTensors(own.path, own.tensors, source.architecture, element),
        names,
    )


class _MovedChain(Mapping[str, Tensor]):
    """A chain's tensors after an element has acted."""

    def __init__(self, architecture: Architecture, tensors: Mapping[str, Tensor], element: GroupElement) -> None:
        self._specs = {spec.name: spec for spec in architecture.tensors}
        self._tensors, self._element, self._omegas = tensors, element, architecture.omegas_of_groups

    def __getitem__(self, name: str) -> Tensor:
        return act_on_tensor(self._element, self._tensors[name], self._specs[name], self._omegas)

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)
