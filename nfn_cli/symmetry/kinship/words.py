"""The verdict on two networks as a sentence.

>>> from nfn_cli.symmetry.kinship.verdict import Comparison, Verdict
>>> in_words(Comparison(Verdict.same, "", deviation=1e-7, tolerance=1e-5), "the chain 0 → 2 with relu")
'same function, as the chain 0 → 2 with relu (largest deviation 1.0e-07; tolerance 1e-05)'
>>> in_words(Comparison(Verdict.unknown, "there is no null for networks of this kind", score=0.31), "the module of Net")
'cannot tell, as the module of Net: there is no null for networks of this kind (score 0.31)'
"""

from __future__ import annotations

from nfn_cli.symmetry.kinship.verdict import Comparison, Verdict

_SAYS = {
    Verdict.same: "same function",
    Verdict.derived: "derived",
    Verdict.independent: "independent",
    Verdict.unknown: "cannot tell",
}


def in_words(found: Comparison, read_as: str) -> str:
    """One line: the verdict, what was read, why, and the figures that it rests on.

    Args:
        read_as: what A was read as.
    """
    verdict = found.verdict
    says = f"same after rounding to {found.rounded_to}" if verdict is Verdict.rounded else _SAYS[verdict]
    cause = "" if verdict is Verdict.same or not found.cause else f": {found.cause}"
    cause += f"; compared: {found.part}" if found.part else ""
    cause += f"; fixed first: {', '.join(found.turned)}" if found.turned else ""
    figures = "; ".join(_certain(found) if found.same else _measured(found))
    return f"{says}, as {read_as}{cause}{f' ({figures})' if figures else ''}"


def _certain(found: Comparison) -> list[str]:
    if found.deviation is None:
        return []
    figures = [f"largest deviation {found.deviation:.1e}" if found.deviation else "no deviation"]
    tolerance = found.verdict is Verdict.same and found.tolerance is not None
    return [*figures, f"tolerance {found.tolerance:.0e}"] if tolerance else figures


def _measured(found: Comparison) -> list[str]:
    figures = [] if found.score is None else [f"score {found.score:.2f}"]
    if found.false_positive_rate is not None and found.models:
        pairs = f"of {found.models:,} models trained apart ({found.family})"
        figures.append(f"false positive rate at most {found.false_positive_rate:.1%}, {pairs}")
    if found.log10_p is not None:
        figures.append(f"exact p {10**found.log10_p:.2f}" if found.log10_p > -2 else f"exact p 10^{found.log10_p:.1f}")
    return figures
