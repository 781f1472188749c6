"""The best of many networks by predicted accuracy, in memory for as many as are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from nfn_cli.checkpoints import natural_key
from nfn_cli.nn.tasks import ScoreRow
from nfn_cli.scoring.formats.values import rounded


@dataclass(frozen=True)
class RankRow:
    """A network's place among others; the fields behind it are those of `ScoreRow`.

    Attributes:
        rank: 1 for the best.
    """

    rank: int
    path: str
    accuracy: float
    low: float
    high: float
    head: str
    in_distribution: bool
    distance: float | None = None


class Ranking:
    """Sorts rows by accuracy, falling; equal ones by the low end of their interval, falling, then by name.

    Equal are accuracies that are printed alike: beyond these digits machines and batches differ.

    Args:
        top: keep so many, None for all.
        in_distribution: leave out networks unlike those that their head was trained on.

    >>> ranking = Ranking(top=1)
    >>> ranking.add([ScoreRow("a.pt", 0.4, 0.3, 0.5, "h", True), ScoreRow("b.pt", 0.6, 0.5, 0.7, "h", True)])
    >>> [(row.rank, row.path) for row in ranking.rows()]
    [(1, 'b.pt')]
    """

    def __init__(self, top: int | None = None, *, in_distribution: bool = False) -> None:
        self._top, self._in_distribution = top, in_distribution
        self._rows: list[ScoreRow] = []

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Take rows; those of files that failed are left out."""
        for row in rows:
            if row.error is None and (row.in_distribution or not self._in_distribution):
                self._rows.append(row)
        if self._top is not None and len(self._rows) > 2 * self._top + 1_000:
            self._sort()

    def rows(self) -> list[RankRow]:
        """The best ones so far, the best first."""
        self._sort()
        return [
            RankRow(rank, **{name: value for name, value in asdict(row).items() if name != "error"})
            for rank, row in enumerate(self._rows, 1)
        ]

    def _sort(self) -> None:
        self._rows.sort(key=_key)
        del self._rows[self._top if self._top is not None else len(self._rows) :]


def _key(row: ScoreRow) -> tuple[float, float, list[tuple[int, int, str]], str]:
    return -rounded(row.accuracy or 0.0), -rounded(row.low or 0.0), natural_key(row.path), row.path
