"""The element that leaves everything where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.labelled import identity

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement, AnySource
from nfn_cli.symmetry.transform import Source


def identity_of(source: AnySource) -> AnyElement:
    """The identity of a network's group."""
    if isinstance(source, Source):
        return GroupElement.identity([group.size for group in source.network.weights.architecture.groups])
    return identity(source.architecture)
