"""What is said of one network: rows, and the one line that stands in a row where nothing could be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from nfn_cli.errors import CheckpointError, NfnError
from nfn_cli.phrases import escaped


@dataclass(frozen=True)
class ScoreRow:
    """What is said of one checkpoint: a prediction, or the one line that says why there is none.

    Attributes:
        accuracy: as a fraction; low, high: the ends of the head's interval.
        in_distribution: whether the network looks like those that the head was fitted to.
        distance: of the network from what the head was fitted to, 1 being the farthest that it takes for its own; None
            of heads for one architecture.
    """

    path: str
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    head: str | None = None
    in_distribution: bool | None = None
    error: str | None = None
    distance: float | None = None


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


Row = TypeVar("Row", ScoreRow, ClassRow)


def error_line(name: str, error: NfnError) -> str:
    """One line that begins with the row's name, whatever the error is about.

    >>> error_line("zoo.safetensors#3", CheckpointError("zoo.safetensors", "it is damaged", "copy it again"))
    'zoo.safetensors#3: it is damaged; copy it again'
    """
    if error.subject.startswith(name):
        return str(error)
    if name.startswith(f"{error.subject}#"):
        return str(type(error)(name, error.cause, error.remedy))
    return escaped(f"{name}: {error}")


def too_large(name: str) -> CheckpointError:
    """The error of a network for which a head gives no finite number."""
    cause = "the weights are too large for the head, which computes in float32"
    return CheckpointError(name, cause, "check that the network works")
