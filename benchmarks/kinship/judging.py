"""Verdicts on what was measured by the null as it ships now: another null asks for no new measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from results import Result

from nfn_cli.symmetry.kinship.null import families

_SURE = 6.0  # −log₁₀ of a p-value that decides alone
_BY_SCORE = {"derived", "independent", "unknown"}


def judged(results: Mapping[str, Result]) -> list[Result]:
    """All results; those of our own statistic with the verdict that `nfn compare` would give now.

    Verdicts that no null decides stay: copies, roundings, and networks of different shapes.
    """
    return [_judged(result, results) if result.measure == "ours" else result for result in results.values()]


def _judged(result: Result, results: Mapping[str, Result]) -> Result:
    if result.verdict not in _BY_SCORE or result.score is None or result.rate is None:
        return result
    kept = results.get("kept" + result.key.removeprefix(result.measure))
    null = families()[result.family]
    if (kept is not None and kept.score is not None and kept.score >= _SURE) or result.score >= null.threshold:
        return replace(result, verdict="derived")
    return replace(result, verdict="independent" if result.score <= null.scores[-1] else "unknown")
