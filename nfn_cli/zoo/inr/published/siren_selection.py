"""Which networks of a published set of SIRENs to take, and how to understand them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Where the published experiments divide the files net<number>.pth (split_points in AllanYangZhou/nfn).
TEST_FROM = 50_000


@dataclass(frozen=True)
class InrSelection:
    """All networks, unless it says otherwise; what is None is as the layout has it.

    Attributes:
        split_file: JSON file of paths and labels that decides the networks, their split and their class.
        data: name of the set, needed where the folder holds several and no split file decides.
        count: this many pictures at most, drawn at random by `seed`.
        fits: at most so many fits to one picture; None for all.
        test_from: of numbered files, those from this number on are the test part.
        omega_0: frequency of the sines.
        value_range: what the networks give for black and white.
        column_first: whether the networks take (column, row).
    """

    split_file: Path | None = None
    data: str | None = None
    count: int | None = None
    seed: int = 0
    fits: int | None = None
    test_from: int = TEST_FROM
    omega_0: float | None = None
    value_range: tuple[float, float] | None = None
    column_first: bool | None = None
