"""One row per checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file has changed since it was scored.

    Attributes:
        bytes: its size.
        modified: nanoseconds since 1970 for a file of this machine; what a store calls the file's version.
        hash: SHA-256 of its contents, where that was asked for.
    """

    bytes: int
    modified: str
    hash: str | None = None

    def same_as(self, other: Stamp) -> bool:
        """Whether they are of one state of a file: of equal contents where both tell, else of equal size and time."""
        if self.hash is not None and other.hash is not None:
            return self.hash == other.hash
        return (self.bytes, self.modified) == (other.bytes, other.modified)


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
    in_distribution: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class ClassRow:
    """What is said of one INR: a class, or the one line that says why there is none.

    Attributes:
        probability: of the class.
        entropy: of the probabilities of all classes, in bits; 0 where the head is sure.
        probabilities: of the most probable classes, falling.
        in_distribution: whether the network looks like those that the head was fitted to.
        distance: of the network from the middle of these, as a share of the farthest that the head takes for its own.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    entropy: float | None = None
    probabilities: Mapping[str, float] | None = None
    head: str | None = None
    in_distribution: bool | None = None
    distance: float | None = None
    error: str | None = None
