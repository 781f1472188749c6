"""Names that differ by one number as one name: `layers.0` and `layers.1` as `layers.0–1`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from nfn_cli.checkpoints import natural_key

Row = TypeVar("Row")


def fold(
    rows: Sequence[Row],
    name_of: Callable[[Row], str],
    kind_of: Callable[[Row], Hashable],
    merged: Callable[[Sequence[Row], str], Row],
) -> list[Row]:
    """Rows of one kind whose names differ by one number in the same place as one row, at the place of the first.

    Numbers are whole parts between dots. Where rows could be folded by several numbers, that one comes first by which
    most go; what was folded may be folded again by another.

    Args:
        merged: one row of several, and its name.
    """
    found = list(rows)
    while True:
        groups: dict[tuple[int, str, str, Hashable], list[int]] = {}
        for place, row in enumerate(found):
            parts = name_of(row).split(".")
            for number, part in enumerate(parts):
                if _is_number(part):
                    key = (number, ".".join(parts[:number]), ".".join(parts[number + 1 :]), kind_of(row))
                    groups.setdefault(key, []).append(place)
        most = max((len(places) for places in groups.values()), default=1)
        if most == 1:
            return found
        (number, before, after, _), places = next(item for item in groups.items() if len(item[1]) == most)
        numbers = [name_of(found[place]).split(".")[number] for place in places]
        name = ".".join(part for part in (before, _ranges(numbers), after) if part)
        row = merged([found[place] for place in places], name)
        found = [row if place == places[0] else own for place, own in enumerate(found) if place not in places[1:]]


def folded_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names, folded, in their order."""
    return tuple(fold(names, lambda name: name, lambda _: None, lambda _, name: name))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()


def _ranges(numbers: Sequence[str]) -> str:
    """Such as `0–3,7`."""
    ordered = sorted(set(numbers), key=natural_key)
    runs: list[list[str]] = []
    for number in ordered:
        if runs and int(number) == int(runs[-1][-1]) + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("–".join(run) for run in runs)
