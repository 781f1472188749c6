"""Bring one checkpoint's network near to another's along its own orbit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfn_cli.errors import ArchitectureError, DifferentError
from nfn_cli.symmetry.alignment import Alignment, Watch, renamed
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
    from nfn_cli.symmetry.labelled.alignment import LabelledAlignment
    from nfn_cli.symmetry.labelled.gauges import Gauged
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnyElement, AnySource

_LARGE = 1 << 28  # above so many weights the group alone is tried only where gauges bring B no nearer


@dataclass(frozen=True)
class Aligned:
    """The nearest point to A that was found on B's orbit.

    Attributes:
        element: g; g·B is near to A. The identity where nothing nearer than B itself was found.
        before, after: the distance to A of B and of g·B (see `overall`); `after` is never the larger one.
        layers: the same of each layer.
        moves: what g does.
        tolerance: a deviation that is rounding.
        gauged: B with its gauges fixed next to A's, on which g acts then; None where it acts on B itself.
    """

    element: AnyElement
    before: float
    after: float
    layers: tuple[LayerDistance, ...]
    moves: Moves
    tolerance: float
    gauged: Gauged | None = None

    @property
    def nearer(self) -> bool:
        """Whether g·B is nearer to A than B is."""
        return self.after < self.before

    @property
    def turned(self) -> tuple[str, ...]:
        """Kinds of the gauges that were fixed."""
        return () if self.gauged is None else self.gauged.kinds

    def acts_on(self, source: AnySource) -> AnySource:
        """What g acts on: B, or B with its gauges fixed."""
        return source if self.gauged is None else self.gauged.source


def align_to(
    reference: AnySource, source: AnySource, watch: Watch = UNWATCHED, *, scaled: bool = True, full: bool = False
) -> Aligned:
    """Find g such that g·B is near to A: see `compare_sources`.

    Args:
        reference, source: A and B.
        scaled: whether scales, signs and phases may be used beside permutations.
        full: whether B's gauges may be fixed next to A's first. Needs networks traced with their gauges; where this
            brings B no nearer, it is not done.

    Raises:
        ArchitectureError: they are of two architectures, or their files do not say enough to know.
        UsageError: SciPy is needed and missing.
    """
    if not full or isinstance(source, Source) or isinstance(reference, Source):
        return _by_group(reference, source, watch, scaled=scaled)
    from nfn_cli.symmetry.labelled.gauges import gauged

    turned = gauged(reference, source, watch)
    if turned is None:
        return _by_group(reference, source, watch, scaled=scaled)
    found = _by_group(reference, turned.source, watch, scaled=scaled)
    found = replace(found, gauged=turned)
    count = sum(math.prod(tensor.shape) for tensor in source.architecture.tensors)
    before = _in_place(reference, source)
    if found.after < overall(before) and (found.after <= found.tolerance or count > _LARGE):
        return _since(found, before)
    plain = _by_group(reference, source, watch, scaled=scaled)
    return _since(found, before) if found.after < plain.after else plain


def _since(found: Aligned, before: Sequence[Residual]) -> Aligned:
    """The same, with the distances of B itself in front."""
    layers = [LayerDistance(own.layer, was.distance, own.after) for own, was in zip(found.layers, before, strict=True)]
    return replace(found, before=overall(before), layers=tuple(layers))


def _in_place(reference: LabelledSource, source: LabelledSource) -> tuple[Residual, ...]:
    from nfn_cli.symmetry.labelled import identity
    from nfn_cli.symmetry.labelled.alignment import residuals as labelled_residuals
    from nfn_cli.symmetry.labelled.compared import Renamed, names_in_other

    theirs = Renamed(reference.checkpoint.tensors, names_in_other(source, reference))
    own = source.architecture
    return labelled_residuals(identity(own), own, source.checkpoint.tensors, theirs)


def _by_group(reference: AnySource, source: AnySource, watch: Watch, *, scaled: bool) -> Aligned:
    try:
        found = compare_sources(source, reference, watch, scaled=scaled)
    except DifferentError as error:
        cause = error.cause.removeprefix("not the same orbit: ")
        remedy = f"align networks of one architecture; the other one is {source.checkpoint.path}"
        raise ArchitectureError(error.subject, cause, remedy) from error
    element, before, after = nearer_of(reference, source, found)
    if isinstance(source, Source):
        assert isinstance(element, GroupElement)
        moves = moves_of_chain(element, source.stored, found.tolerance)
    else:
        assert not isinstance(element, GroupElement)
        moves = moves_of_labelled(element, source.architecture, found.tolerance)
    layers = by_layer(before, after)
    return Aligned(element, overall(before), overall(after), layers, moves, found.tolerance)


def nearer_of(
    reference: AnySource, source: AnySource, found: Alignment[GroupElement] | LabelledAlignment
) -> tuple[AnyElement, tuple[Residual, ...], tuple[Residual, ...]]:
    """The element that was found or, where B itself is not farther from A, the identity; with what is left of B and of
    g·B, by the layers on which the group acts."""
    if isinstance(source, Source):
        assert isinstance(reference, Source) and isinstance(found.element, GroupElement)
        return _of_chains(reference, source, found.element, found.tolerance)
    assert not isinstance(reference, Source) and not isinstance(found.element, GroupElement)
    return _of_labelled(reference, source, found)


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
    reference: LabelledSource, source: LabelledSource, found: LabelledAlignment
) -> tuple[Element, tuple[Residual, ...], tuple[Residual, ...]]:
    from nfn_cli.symmetry.labelled import bounded, identity, without_extremes
    from nfn_cli.symmetry.labelled.alignment import residuals as labelled_residuals
    from nfn_cli.symmetry.labelled.compared import Renamed, names_in_other

    ours, own = source.checkpoint.tensors, source.architecture
    theirs = Renamed(reference.checkpoint.tensors, names_in_other(source, reference))
    before = _in_place(reference, source) if found.in_place is None else found.in_place
    if before and largest_deviation(before) > found.tolerance:
        element = bounded(found.element, own, ours)
        # What the group does not act on stands behind the rest.
        after = found.residuals[: len(before)]
        if element is not found.element:
            after = labelled_residuals(element, own, ours, theirs)
            # The scale of a dead neuron may have spoilt others.
            tamed = bounded(without_extremes(found.element, own), own, ours)
            left = labelled_residuals(tamed, own, ours, theirs)
            if overall(left) < overall(after):
                element, after = tamed, left
        if overall(after) < overall(before):
            return element, before, after
    return identity(own), before, before
