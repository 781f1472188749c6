"""What two checkpoints have to do with each other: the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from nfn_cli.errors import DifferentError
from nfn_cli.precision import coarsest, finest
from nfn_cli.symmetry.alignment import orbit_tolerance
from nfn_cli.symmetry.alignment.residuals import Residual
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.kinship.constants import constant_tensors
from nfn_cli.symmetry.kinship.exact_test import exact_log10_p
from nfn_cli.symmetry.kinship.nearest import Near, near_by_gauges, near_by_group, score_of
from nfn_cli.symmetry.kinship.null import Null, families, family_of, plain
from nfn_cli.symmetry.kinship.pairing import pair_of
from nfn_cli.symmetry.kinship.rounding import rounded_to
from nfn_cli.symmetry.kinship.score import Score
from nfn_cli.symmetry.kinship.shapes import CommonPart, Unmatched, common_part
from nfn_cli.symmetry.kinship.verdict import ComparedLayer, Comparison, Verdict
from nfn_cli.symmetry.nearness import overall
from nfn_cli.symmetry.sources import identity_of

if TYPE_CHECKING:
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnySource

_HALVES = (torch.float16, torch.bfloat16)
_SURE = -6.0  # log₁₀ of a p-value that decides alone


def compare_networks(
    reference: AnySource,
    source: AnySource,
    watch: Watch = UNWATCHED,
    *,
    basis: str = "aligned",
    tracer: NetworkTracer | None = None,
) -> Comparison:
    """The verdict on A and B.

    Rotations and other gauges of transformers are seen through where both were traced with their gauges. Networks of
    different shapes are compared by what both have.

    Args:
        reference, source: A and B.
        basis: `aligned` brings B near to A first, `exact` leaves it where it is.
        tracer: of parts of networks, where they have different shapes; one for many calls spares time.

    Raises:
        ArchitectureError: the files do not say enough to compare them.
        UsageError: SciPy is needed and missing.
    """
    aligned = basis == "aligned"
    try:
        near = near_by_group(reference, source, watch, aligned=aligned)
    except DifferentError as error:
        return _of_parts(reference, source, error, watch, basis, tracer)
    found = _same_or_rounded(reference, source, near)
    if found is not None:
        return found
    score = score_of(reference, near, watch, matching=aligned)
    null = _null_of(reference)
    least = plain() if null is None else null.threshold
    if aligned and (score.total is None or score.total < least):
        turned = near_by_gauges(reference, near, watch)
        if turned is not None:
            if turned.deviation <= _finest_tolerance(reference, source):
                return _same(turned, "every number is the other's but for rounding, once gauges are fixed")
            near, score = _more_alike(reference, (near, score), turned, watch)
    still = pair_of(reference, source, identity_of(source))
    judged = replace(
        _described(near, score),
        log10_p=exact_log10_p(still, constant_tensors(still, near.tolerance)),
        family=None if null is None else null.family,
        models=None if null is None else null.models,
        false_positive_rate=None if null is None or score.total is None else null.rate(score.total),
    )
    return _judged(judged, null)


def _more_alike(reference: AnySource, first: tuple[Near, Score], turned: Near, watch: Watch) -> tuple[Near, Score]:
    """B by the group alone or with its gauges fixed, whichever scores higher."""
    before, other = first[1].total, score_of(reference, turned, watch)
    return (turned, other) if other.total is not None and (before is None or other.total > before) else first


def _null_of(reference: AnySource) -> Null | None:
    family = family_of(reference)
    return families().get(family) if family is not None else None


def _same_or_rounded(reference: AnySource, source: AnySource, near: Near) -> Comparison | None:
    if near.deviation <= _finest_tolerance(reference, source):
        return _same(near, "every number is the other's but for rounding")
    rounded = rounded_to(reference, source, near.element)
    if rounded is None:
        both = reference.precision, source.precision
        fine, coarse = finest(both), coarsest(both)
        asked = coarse in _HALVES and fine not in _HALVES  # then every number was, and one is not what it would be
        if asked or near.deviation > near.tolerance:
            return None
        # Stored in two dtypes, and apart by no more than a few roundings to the coarser one.
        kind = str(coarse).removeprefix("torch.")
        which = "A" if reference.precision == coarse else "B"
        cause = f"every number is the other's but for the rounding of {kind}, in which {which} is stored"
        return replace(_described(near), verdict=Verdict.rounded, cause=cause, rounded_to=kind)
    other = "B" if rounded.which == "A" else "A"
    return replace(
        _described(near),
        verdict=Verdict.rounded,
        cause=f"{rounded.which} is {other} rounded to {rounded.kind}",
        rounded_to=rounded.kind,
        deviation=rounded.deviation,
    )


def _same(near: Near, cause: str) -> Comparison:
    return replace(_described(near), verdict=Verdict.same, cause=cause)


def _described(near: Near, score: Score | None = None) -> Comparison:
    """What was found, not judged."""
    return Comparison(
        Verdict.unknown,
        "",
        score=None if score is None else score.total,
        deviation=near.deviation,
        tolerance=near.tolerance,
        layers=_layers(near.before, near.after, {} if score is None else score.tensors),
        element=near.element,
        before=overall(near.before),
        after=overall(near.after),
        turned=near.turned,
    )


def _of_parts(
    reference: AnySource,
    source: AnySource,
    error: DifferentError,
    watch: Watch,
    basis: str,
    tracer: NetworkTracer | None,
) -> Comparison:
    """The verdict on what two networks of different shapes have in common."""
    cause = error.cause.removeprefix("not the same orbit: ")
    part = common_part(reference, source, tracer)
    if isinstance(part, Unmatched):
        return Comparison(Verdict.unknown, f"{cause}; {part.cause}")
    aligned = basis == "aligned"
    near = near_by_group(part.reference, part.source, watch, aligned=aligned)
    near = replace(near, fitted=frozenset(part.ordered))
    score = score_of(part.reference, near, watch, matching=aligned)
    if aligned and (score.total is None or score.total < plain()):
        turned = near_by_gauges(part.reference, near, watch)
        if turned is not None:
            near, score = _more_alike(part.reference, (near, score), turned, watch)
    found = replace(_described(near, score), assumed=part.assumed, part=_words(part), element=None, deviation=None)
    layers = tuple(replace(own, name=_original(own.name, part)) for own in found.layers)
    found = replace(found, layers=layers, tolerance=None)
    # No null was read off parts of networks, which were chosen because they are alike: only what is plain is said.
    if found.score is not None and found.score >= plain():
        cause = f"{cause}; in what both have their neurons are alike as those of networks trained apart are not"
        return replace(found, verdict=Verdict.derived, cause=cause)
    return replace(found, cause=f"{cause}; what both have is not alike enough to tell")


def _words(part: CommonPart) -> str:
    both = sum(one is not None and other is not None for one, other in part.layers)
    texts = [f"{both} layers of both"]
    for place, name in enumerate(("A", "B")):
        alone = [own[place] for own in part.layers if own[1 - place] is None]
        texts += [f"in {name} alone: {', '.join(str(own) for own in alone)}"] if alone else []
    return "; ".join(texts)


def _original(layer: str, part: CommonPart) -> str:
    """A's own name of a layer of the part."""
    for name, own in part.original.items():
        if name == layer:
            return own
        if name.rpartition(".")[0] == layer:
            return own.rpartition(".")[0]
    return layer


def _judged(base: Comparison, null: Null | None) -> Comparison:
    """The verdict by the score and the exact test."""
    score = base.score
    if base.log10_p is not None and base.log10_p <= _SURE:
        cause = "more neurons stand in their place than chance explains, so both have one origin"
        return replace(base, verdict=Verdict.derived, cause=cause)
    if score is None:
        return replace(base, cause="there are no neurons by which the two could be compared")
    if null is None:
        # Nothing is known of networks of this kind that were trained apart: only what is plain is said.
        if score >= plain():
            cause = "their neurons are alike in what is each one's own; there is no null for networks of this kind"
            return replace(base, verdict=Verdict.derived, cause=cause)
        return replace(base, cause="there is no null for networks of this kind")
    if score >= null.threshold:
        cause = "their neurons are alike in what is each one's own, as those of networks trained apart are not"
        return replace(base, verdict=Verdict.derived, cause=cause)
    if score <= null.scores[-1]:
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
    return orbit_tolerance(finest((reference.precision, source.precision)))
