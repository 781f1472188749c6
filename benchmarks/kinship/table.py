"""The tables: areas under the curve, kin found at the verdict's threshold, false positives, replaced layers named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from disguises import DISGUISES, PLAIN
from figures import auc, share
from kinds import KINDS
from measures import NAMES, measure_of
from members import BASE, MEMBERS, Family, replaced_layer
from results import Result

_GROUPS = {"lm": "Language models", "cnn": "CNNs", "resnet": "ResNets"}
_TITLES = {member.title for member in MEMBERS.values()}
_FOUND = {"same", "rounded", "derived"}
_UP_TO_HALF = {
    BASE,
    "short",
    "long",
    "noise-0.25",
    "noise-0.5",
    "float16",
    "bfloat16",
    "int8",
    "merged",
}


def _rows(results: Iterable[Result]) -> list[tuple[str, str, Callable[[Result], bool]]]:
    """Titles of change and disguise, and which kin belong there."""
    there = {(result.member, result.disguise) for result in results}
    found: list[tuple[str, str, Callable[[Result], bool]]] = [
        ("all", "all", lambda result: True),
        ("fine-tunes, round trips, means, noise up to 0.5 σ", "all", lambda result: result.member in _UP_TO_HALF),
    ]
    for how in (PLAIN, *DISGUISES):
        found.append(("all", how, lambda result, how=how: result.disguise == how))  # type: ignore[misc]
    for name, member in MEMBERS.items():
        for how in (PLAIN, *DISGUISES):
            if (name, how) in there:
                chosen = (name, how)
                found.append(
                    (member.title, how, lambda result, chosen=chosen: (result.member, result.disguise) == chosen)  # type: ignore[misc]
                )
    return found


def _parts(results: list[Result], group: str) -> tuple[list[Result], list[Result]]:
    """Kin, and pairs of two families of one kind."""
    own = [result for result in results if result.family == group]
    return [r for r in own if r.group == "kin"], [r for r in own if r.group == "independent"]


def print_areas(results: list[Result], out: TextIO, *, full: bool) -> None:
    """Areas under the curve of all statistics, by disguise: kin against pairs of two families of one kind.

    Args:
        full: by change and disguise.
    """
    names = [name for name in NAMES if any(result.measure == name for result in results)]
    print(f"\n| networks | kin | disguise | pairs | {' | '.join(measure_of(name).title for name in names)} |", file=out)
    print(f"|---|---|---|---|{'---|' * len(names)}", file=out)
    for group, title in _GROUPS.items():
        kin, apart = _parts(results, group)
        for change, how, belongs in _rows(kin):
            chosen = [result for result in kin if belongs(result)]
            if chosen and (full or change not in _TITLES):
                cells = [_area(name, chosen, apart) for name in names]
                pairs = len({(r.kind, r.one, r.member, r.disguise) for r in chosen})
                print(f"| {title} | {change} | {how} | {pairs} | {' | '.join(cells)} |", file=out)


def _area(name: str, kin: list[Result], apart: list[Result]) -> str:
    return str(auc([r for r in kin if r.measure == name], [r for r in apart if r.measure == name]))


def print_found(results: list[Result], out: TextIO) -> None:
    """Of our own statistic, the area and the kin found (same, rounded or derived), by change and disguise."""
    ours = [result for result in results if result.measure == "ours"]
    parts = {group: _parts(ours, group) for group in _GROUPS}
    print(f"\n| kin | disguise | {' | '.join(_GROUPS.values())} | verdicts |", file=out)
    print(f"|---|---|---|{'---|' * len(_GROUPS)}", file=out)
    every = [result for kin, _ in parts.values() for result in kin]
    for change, how, belongs in _rows(every):
        chosen = [result for result in every if belongs(result)]
        cells = []
        for kin, apart in parts.values():
            own = [result for result in kin if belongs(result)]
            found = sum(result.verdict in _FOUND for result in own)
            cells.append(f"{_area('ours', own, apart)}, {found}/{len(own)}" if own else "-")
        counts: dict[str, int] = {}
        for result in chosen:
            counts[str(result.verdict)] = counts.get(str(result.verdict), 0) + 1
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        if chosen:
            print(f"| {change} | {how} | {' | '.join(cells)} | {told} |", file=out)


def print_false(results: list[Result], out: TextIO) -> None:
    """False positives: disjoint pairs of recipes that the null is not read off, and pairs across families."""
    ours = [result for result in results if result.measure == "ours"]
    print("\nFalse positives at the verdict's threshold\n", file=out)
    print("| pairs | networks | pairs | called kin | share |", file=out)
    print("|---|---|---|---|---|", file=out)
    for group, title in (("fresh", "disjoint, recipes apart"), ("independent", "across families, not disjoint")):
        every = [result for result in ours if result.group == group]
        for name in ("all", *sorted({result.family for result in every})):
            own = [result for result in every if name in ("all", result.family)]
            wrong = sum(result.verdict in _FOUND for result in own)
            if own:
                print(f"| {title} | {name} | {len(own)} | {wrong} | {share(wrong, len(own))} |", file=out)


def print_replaced(results: list[Result], folder: Path, out: TextIO) -> None:
    """How often the layer that was replaced is the one that changed most."""
    print("\nThe replaced layer is the one that changed most\n", file=out)
    print("| networks | disguise | named | share |", file=out)
    print("|---|---|---|---|", file=out)
    own = [r for r in results if (r.measure, r.group, r.member) == ("ours", "kin", "replaced")]
    for name in ("all", *_GROUPS):
        for how in (PLAIN, *DISGUISES):
            chosen = [r for r in own if name in ("all", r.family) and r.disguise == how]
            if chosen:
                right = sum(_names(r, folder) for r in chosen)
                print(f"| {name} | {how} | {right} of {len(chosen)} | {share(right, len(chosen))} |", file=out)


def _names(result: Result, folder: Path) -> bool:
    layer = replaced_layer(Family(folder, KINDS[result.kind], result.one))
    return result.layer is not None and f"{result.layer}.".startswith(layer)


def print_all(results: list[Result], folder: Path, out: TextIO, *, full: bool = False) -> None:
    """All tables.

    Args:
        full: areas of all statistics by change, too.
    """
    print_areas(results, out, full=full)
    print_found(results, out)
    print_false(results, out)
    print_replaced(results, folder, out)
