"""Bring one checkpoint's network near to another's along its own orbit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfn_cli.errors import ArchitectureError, DifferentError
from nfn_cli.symmetry.alignment import Watch, renamed
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation, residuals
from nfn_cli.symmetry.alignment.watch import UNWATCHED
from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.moves import Moves, moves_of_chain, moves_of_labelled
from nfn_cli.symmetry.nearness import LayerDistance, by_layer, overall
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    # Chains, which are read by the thousand, need none of these.
    from nfn_cli.symmetry.labelled import Element
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnyElement, AnySource


@dataclass(frozen=True)
class Aligned:
    """The nearest point to A that was found on B's orbit.

    Attributes:
        element: g; g·B is near to A. The identity where nothing nearer than B itself was found.
        before, after: the distance to A of B and of g·B (see `overall`); `after` is never the larger one.
        layers: the same of each layer.
        moves: what g does.
        tolerance: a deviation that is rounding.
    """

    element: AnyElement
    before: float
    after: float
    layers: tuple[LayerDistance, ...]
    moves: Moves
    tolerance: float

    @property
    def nearer(self) -> bool:
        """Whether g·B is nearer to A than B is."""
        return self.after < self.before


def align_to(reference: AnySource, source: AnySource, watch: Watch = UNWATCHED, *, scaled: bool = True) -> Aligned:
    """Find g such that g·B is near to A: see `compare_sources`.

    Args:
        reference, source: A and B.
        scaled: whether scales, signs and phases may be used beside permutations.

    Raises:
        ArchitectureError: they are of two architectures, or their files do not say enough to know.
        UsageError: SciPy is needed and missing.
    """
    try:
        found = compare_sources(source, reference, watch, scaled=scaled)
    except DifferentError as error:
        cause = error.cause.removeprefix("not the same orbit: ")
        remedy = f"align networks of one architecture; the other one is {source.checkpoint.path}"
        raise ArchitectureError(error.subject, cause, remedy) from error
    element, before, after = nearer_of(reference, source, found.element, found.tolerance)
    if isinstance(source, Source):
        assert isinstance(element, GroupElement)
        moves = moves_of_chain(element, source.stored, found.tolerance)
    else:
        assert not isinstance(element, GroupElement)
        moves = moves_of_labelled(element, source.architecture, found.tolerance)
    return Aligned(element, overall(before), overall(after), by_layer(before, after), moves, found.tolerance)


def nearer_of(
    reference: AnySource, source: AnySource, element: AnyElement, tolerance: float
) -> tuple[AnyElement, tuple[Residual, ...], tuple[Residual, ...]]:
    """An element or, where B itself is not farther from A, the identity; with what is left of B and of g·B.

    Args:
        tolerance: a deviation that is rounding.
    """
    if isinstance(source, Source):
        assert isinstance(reference, Source) and isinstance(element, GroupElement)
        return _of_chains(reference, source, element, tolerance)
    assert not isinstance(reference, Source) and not isinstance(element, GroupElement)
    return _of_labelled(reference, source, element, tolerance)


def _of_chains(
    reference: Source, source: Source, element: GroupElement, tolerance: float
) -> tuple[GroupElement, tuple[Residual, ...], tuple[Residual, ...]]:
    theirs = reference.network.weights
    ours = renamed(source.network.weights, theirs.architecture)
    still = GroupElement.identity([group.size for group in theirs.architecture.groups])
    before = residuals(still, ours, theirs)
    if largest_deviation(before) > tolerance:
        after = residuals(element, ours, theirs)
        if overall(after) < overall(before):
            return element, before, after
    return still, before, before


def _of_labelled(
    reference: LabelledSource, source: LabelledSource, element: Element, tolerance: float
) -> tuple[Element, tuple[Residual, ...], tuple[Residual, ...]]:
    from nfn_cli.symmetry.labelled import bounded, identity
    from nfn_cli.symmetry.labelled.alignment import residuals as labelled_residuals
    from nfn_cli.symmetry.labelled.compared import Renamed, names_in_other

    ours, own = source.checkpoint.tensors, source.architecture
    theirs = Renamed(reference.checkpoint.tensors, names_in_other(source, reference))
    still = identity(own)
    before = labelled_residuals(still, own, ours, theirs)
    if before and largest_deviation(before) > tolerance:
        element = bounded(element, own, ours)
        after = labelled_residuals(element, own, ours, theirs)
        if overall(after) < overall(before):
            return element, before, after
    return still, before, before
