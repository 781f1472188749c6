"""What two checkpoints have to do with each other: the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from nfn_cli.errors import DifferentError
from nfn_cli.symmetry.aligning import nearer_of
from nfn_cli.symmetry.alignment import orbit_tolerance
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.kinship.exact_test import exact_log10_p
from nfn_cli.symmetry.kinship.identity import identity_of
from nfn_cli.symmetry.kinship.null import Null, families, family_of, threshold
from nfn_cli.symmetry.kinship.pairing import pair_of
from nfn_cli.symmetry.kinship.score import kinship_score
from nfn_cli.symmetry.kinship.verdict import ComparedLayer, Comparison, Verdict
from nfn_cli.symmetry.nearness import overall

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_SURE = -6.0  # log₁₀ of a p-value that decides alone


def compare_networks(
    reference: AnySource, source: AnySource, watch: Watch = UNWATCHED, *, basis: str = "aligned"
) -> Comparison:
    """The verdict on A and B.

    Args:
        reference, source: A and B.
        basis: `aligned` brings B near to A first, `exact` leaves it where it is.

    Raises:
        ArchitectureError: the files do not say enough to compare them.
        UsageError: SciPy is needed and missing.
    """
    try:
        found = compare_sources(source, reference, watch)
    except DifferentError as error:
        return Comparison(Verdict.unknown, error.cause.removeprefix("not the same orbit: "))
    still = identity_of(source)
    element, before, after = nearer_of(reference, source, found.element, found.tolerance)
    beside = found.residuals[len(after) :]
    if basis == "exact":
        element, after = still, before
    before, after = (*before, *beside), (*after, *beside)
    deviation = largest_deviation(after) if after else 0.0
    base = Comparison(
        Verdict.unknown,
        "",
        deviation=deviation,
        tolerance=found.tolerance,
        layers=_layers(before, after, {}),
        element=element,
        before=overall(before),
        after=overall(after),
    )
    if deviation <= _finest_tolerance(reference, source):
        return replace(base, verdict=Verdict.same, cause="every number is the other's but for rounding")
    pair = pair_of(reference, source, element)
    score = kinship_score(pair, watch, matching=basis == "aligned")
    log10_p = exact_log10_p(pair_of(reference, source, still))
    family = family_of(reference)
    null = families().get(family) if family is not None else None
    base = replace(
        base,
        score=score.total,
        log10_p=log10_p,
        layers=_layers(before, after, score.tensors),
        family=None if null is None else null.family,
        models=None if null is None else null.models,
        false_positive_rate=None if null is None or score.total is None else null.rate(score.total),
    )
    return _judged(base, null)


def _judged(base: Comparison, null: Null | None) -> Comparison:
    """The verdict by the score and the exact test."""
    least, score = threshold(), base.score
    if base.log10_p is not None and base.log10_p <= _SURE:
        cause = "more neurons stand in their place than chance explains, so both have one origin"
        return replace(base, verdict=Verdict.derived, cause=cause)
    if score is None:
        return replace(base, cause="there are no neurons by which the two could be compared")
    if null is None:
        # Nothing is known of networks of this kind that were trained apart: only what is plain is said.
        if score >= (1 + least) / 2:
            cause = "their neurons are alike in what is each one's own; there is no null for networks of this kind"
            return replace(base, verdict=Verdict.derived, cause=cause)
        return replace(base, cause="there is no null for networks of this kind")
    if score >= least:
        cause = "their neurons are alike in what is each one's own, as those of networks trained apart are not"
        return replace(base, verdict=Verdict.derived, cause=cause)
    if score <= null.usual:
        return replace(base, verdict=Verdict.independent, cause="no more alike than networks that were trained apart")
    cause = "more alike than most networks that were trained apart, and less than what is certainly derived"
    return replace(base, cause=cause)


def _layers(
    before: Sequence[Residual], after: Sequence[Residual], scores: Mapping[str, float]
) -> tuple[ComparedLayer, ...]:
    own: dict[str, list[float]] = {}
    for name, score in scores.items():
        own.setdefault(name.rpartition(".")[0] or name, []).append(score)
    return tuple(
        ComparedLayer(
            b.layer, b.distance, a.distance, sum(own[b.layer]) / len(own[b.layer]) if b.layer in own else None
        )
        for b, a in zip(before, after, strict=True)
    )


def _finest_tolerance(reference: AnySource, source: AnySource) -> float:
    """What is rounding in the finer of both dtypes."""
    finest = min(reference.precision, source.precision, key=lambda dtype: torch.finfo(dtype).eps)
    return orbit_tolerance(finest)
