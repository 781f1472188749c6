"""What a statistic of kinship says of two files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """A result.

    Attributes:
        score: the larger, the likelier kin; None where the statistic does not apply to the two networks.
        verdict: in a word, of those that give one.
        layer: the layer that is named as changed most, of those that name one.
        rate: the false-positive rate that is stated with the verdict.
    """

    score: float | None
    verdict: str | None = None
    layer: str | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Measure:
    """A statistic: its title in the table, and what it says of a reference and another file."""

    title: str
    measure: Callable[[Path, Path], Measured]
