"""What is known of a network that was trained elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nfn_cli.errors import DataError

Value = str | int | float | bool


@dataclass(frozen=True)
class ImportedRun:
    """One training run.

    Attributes:
        name: as published; checkpoints of one run share it.
        activation: canonical name.
        hyperparameters: what else is told of it, by column of `labels.csv`.
    """

    name: str
    activation: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedNetwork:
    """One checkpoint of a run. A figure is None where nobody tells it, NaN where it was none."""

    run: ImportedRun
    epoch: int
    test_accuracy: float
    test_loss: float | None = None
    train_accuracy: float | None = None
    train_loss: float | None = None
    validation_accuracy: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether it computed anything. Weights too large to compute with give a loss that is not finite."""
        return math.isfinite(self.test_accuracy) and (self.test_loss is None or math.isfinite(self.test_loss))


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        networks, runs: written.
        dropped: networks left out because their weights, loss or accuracy are not finite.
        skipped: why runs were left out that cannot be read, one line each.
    """

    networks: int
    runs: int
    dropped: int
    skipped: tuple[str, ...] = ()


def require_share(accuracy: float, subject: str, column: str) -> None:
    """Check that an accuracy is a fraction, or not finite.

    Raises:
        DataError: it is another number, such as a percentage.
    """
    if math.isfinite(accuracy) and not 0 <= accuracy <= 1:
        raise DataError(subject, f"{column} is {accuracy}", "give accuracies as fractions between 0 and 1")


def as_text(value: str) -> str:
    r"""Text that UTF-8 can hold: a file's name need not be text, and JSON may hold halves of characters.

    >>> as_text("a\ud800")
    'a\\ud800'
    """
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
