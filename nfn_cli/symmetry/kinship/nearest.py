"""B brought near to A, by the group alone or after its gauges were fixed next to A's, and the score of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfn_cli.symmetry.aligning import nearer_of
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.kinship.constants import constant_tensors
from nfn_cli.symmetry.kinship.pairing import pair_of
from nfn_cli.symmetry.kinship.score import Score, kinship_score
from nfn_cli.symmetry.nearness import overall
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement, AnySource


@dataclass(frozen=True)
class Near:
    """B, or a network of its function, next to A.

    Attributes:
        source: B, or B with its gauges fixed next to A's.
        element: g, with g·source near to A.
        before, after: what is left of B, and of g·source, by layer; with the tensors on which no group acts.
        tolerance: a deviation that is rounding.
        turned: kinds of the gauges that were fixed.
        fitted: tensors by which they were.
    """

    source: AnySource
    element: AnyElement
    before: tuple[Residual, ...]
    after: tuple[Residual, ...]
    tolerance: float
    turned: tuple[str, ...] = ()
    fitted: frozenset[str] = frozenset()

    @property
    def deviation(self) -> float:
        """The largest of an entry."""
        return largest_deviation(self.after) if self.after else 0.0


def near_by_group(reference: AnySource, source: AnySource, watch: Watch = UNWATCHED, *, aligned: bool = True) -> Near:
    """By the group alone.

    Args:
        aligned: whether B is moved at all.

    Raises:
        DifferentError: they are of two architectures.
        ArchitectureError: the files do not say enough to know.
        UsageError: SciPy is needed and missing.
    """
    found = compare_sources(source, reference, watch, search=aligned)
    element, before, after = nearer_of(reference, source, found)
    beside = found.residuals[len(after) :]
    return Near(source, element, (*before, *beside), (*after, *beside), found.tolerance)


def near_by_gauges(reference: AnySource, near: Near, watch: Watch = UNWATCHED) -> Near | None:
    """By gauges and the group; None where there are no gauges to fix, or this brings B no nearer than it was.

    Args:
        near: B by the group alone.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    if isinstance(near.source, Source) or isinstance(reference, Source):
        return None
    from nfn_cli.symmetry.labelled.gauges import gauged

    turned = gauged(reference, near.source, watch)
    if turned is None:
        return None
    found = near_by_group(reference, turned.source, watch)
    if overall(found.after) >= overall(near.before):
        return None
    return replace(found, before=near.before, turned=turned.kinds, fitted=near.fitted | turned.fitted)


def score_of(reference: AnySource, near: Near, watch: Watch = UNWATCHED, *, matching: bool = True) -> Score:
    """The kinship score of A and g·B.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    pair = pair_of(reference, near.source, near.element)
    without = near.fitted | constant_tensors(pair, near.tolerance)
    return kinship_score(pair, watch, matching=matching, without=without)
