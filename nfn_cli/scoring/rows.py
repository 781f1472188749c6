"""One row per checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoreRow:
    """What is said of one checkpoint: a prediction, or the one line that says why there is none.

    `accuracy`, `low` and `high` are fractions; `low` and `high` bound the head's interval.
    """

    path: str
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    head: str | None = None
    in_population: bool | None = None
    error: str | None = None
