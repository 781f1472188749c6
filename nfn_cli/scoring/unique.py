"""A ranking without copies: one network of each orbit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfn_cli.errors import NfnError, UsageError
from nfn_cli.scoring.rank import RankRow

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


@dataclass(frozen=True)
class Unique:
    """What is left of a ranking.

    Attributes:
        rows: ranked anew.
        left_out: how many copies stood before the last of the rows.
        unsure: names of networks that could not be read to be compared, which stay, and why.
    """

    rows: tuple[RankRow, ...]
    left_out: int
    unsure: tuple[tuple[str, str], ...]


def one_of_each_orbit(
    rows: Sequence[RankRow],
    top: int | None,
    read: Callable[[str], AnySource],
    advance: Callable[[], object] = lambda: None,
) -> Unique:
    """Keep the best row of each orbit.

    Args:
        rows: the best first.
        top: stop when so many are found; None for all.
        read: reads a network by its name.
        advance: called for each row that was looked at.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    from nfn_cli.symmetry.kinship.orbits import Likeness, Orbits

    kept: list[RankRow] = []
    unsure: list[tuple[str, str]] = []
    placed: list[str] = []
    orbits = Orbits(lambda place: read(placed[place]))
    left_out = 0
    for row in rows:
        if len(kept) == top:
            break
        advance()
        try:
            found = orbits.add(read(row.path))
        except UsageError:
            raise
        except NfnError as error:
            unsure.append((row.path, error.cause))
        else:
            placed.append(row.path)
            if found.likeness is not Likeness.first:
                left_out += 1
                continue
        kept.append(replace(row, rank=len(kept) + 1))
    return Unique(tuple(kept), left_out, tuple(unsure))
