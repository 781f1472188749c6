"""One row per checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True)
class ClassRow:
    """What is said of one INR: a class, or the one line that says why there is none.

    Attributes:
        probability: of the class.
        entropy: of the probabilities of all classes, in bits; 0 where the head is sure.
        probabilities: of the most probable classes, falling.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    entropy: float | None = None
    probabilities: Mapping[str, float] | None = None
    head: str | None = None
    error: str | None = None
