"""What two checkpoints have to do with each other, as it is passed between rooms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement


class Verdict(str, Enum):
    """What is said of two networks A and B."""

    same = "same"  # one function: an element of the group brings one to the other
    rounded = "rounded"  # the same after one was rounded to a lower precision
    derived = "derived"  # one comes from the other, or both from a third: fine-tuned, merged, pruned, partly replaced
    independent = "independent"  # no more alike than networks that were trained apart
    unknown = "unknown"  # none of these can be said


@dataclass(frozen=True)
class ComparedLayer:
    """One layer of two networks.

    Attributes:
        name: in A.
        before, changed: ‖B − A‖ / ‖A‖ of the layer as it lies, and with B brought near to A.
        score: the kinship score of its weights alone; None where it has too few to tell.
    """

    name: str
    before: float
    changed: float
    score: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The verdict on two networks, and what it rests on.

    Attributes:
        cause: why, in words.
        score: how alike the neurons of both are in what is their own: 1 for copies, about 0 for strangers (see
            `kinship.score`); None where it was not needed or could not be computed.
        false_positive_rate: of the verdict `derived` at this score: an upper bound from the null (see `kinship.null`);
            None where no null applies.
        log10_p: the exact test of coordinates that were kept; None where it does not apply.
        deviation, tolerance: the largest one of an entry after alignment, and what is rounding; None where nothing was
            aligned.
        layers: in A's order.
        element: g, with g·B near to A; None where nothing was aligned.
        before, after: the distances to A of B and of g·B; `after` is never the larger one.
        family: the null that the score was held against; None for none. models: how many networks it was read off.
        rounded_to: the precision that one of the two was rounded to.
        turned: kinds of gauges, such as rotations of a stream, that were fixed next to A's first; no element says it.
        part: what was compared, in words, where the two have different shapes; None where all was.
        assumed: what was taken for granted to compare them, beside how each was read.
    """

    verdict: Verdict
    cause: str
    score: float | None = None
    false_positive_rate: float | None = None
    log10_p: float | None = None
    deviation: float | None = None
    tolerance: float | None = None
    layers: tuple[ComparedLayer, ...] = ()
    element: AnyElement | None = None
    before: float | None = None
    after: float | None = None
    family: str | None = None
    models: int | None = None
    rounded_to: str | None = None
    turned: tuple[str, ...] = ()
    part: str | None = None
    assumed: str | None = None

    @property
    def same(self) -> bool:
        """Whether both are one function, or were before one was rounded."""
        return self.verdict in (Verdict.same, Verdict.rounded)
