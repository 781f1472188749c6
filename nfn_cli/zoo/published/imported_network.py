"""What is known of a network that was trained elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nfn_cli.errors import DataError
from nfn_cli.zoo.labels import write_table
from nfn_cli.zoo.published.packed_writer import PackedWriter

Value = str | int | float | bool
_FIGURES = ("test_loss", "train_accuracy", "train_loss", "validation_accuracy")


@dataclass(frozen=True)
class ImportedRun:
    """One training run.

    Attributes:
        name: as published; checkpoints of one run share it.
        activation: canonical name.
        hyperparameters: what else is known of it, by column of `labels.csv`.
    """

    name: str
    activation: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedNetwork:
    """One checkpoint of a run. A figure is None where it is not given, NaN where it was no number."""

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


def write_imported_labels(folder: Path, written: Sequence[tuple[str, int, ImportedNetwork]]) -> None:
    """Write `labels.csv`: the columns of a trained zoo, then what else is known; none that would be empty.

    Args:
        written: part, position in it, and network, as `PackedWriter.written` has them.
    """
    networks = [network for _, _, network in written]
    figures = [name for name in _FIGURES if any(getattr(network, name) is not None for network in networks)]
    known = dict.fromkeys(name for network in networks for name in network.run.hyperparameters)

    def rows() -> Iterator[dict[str, object]]:
        for part, position, network in written:
            row: dict[str, object] = {"file": part, "index": position, "epoch": network.epoch}
            row |= {"test_accuracy": network.test_accuracy, "run": network.run.name}
            for name in _FIGURES:
                if (figure := getattr(network, name)) is not None:
                    row[name] = figure
            yield row | {"activation": network.run.activation} | dict(network.run.hyperparameters)

    columns = ["file", "index", "epoch", "test_accuracy", *figures, "run", "activation", *known]
    write_table(folder, columns, rows())


def complete_import(
    writer: PackedWriter[ImportedNetwork], origin: Mapping[str, Any], skipped: Sequence[str] = ()
) -> ImportReport:
    """Write what waits, `zoo.yaml` from `origin` and the labels.

    Args:
        origin: where the networks come from, and how many were `dropped`.
        skipped: as in `ImportReport`.

    Raises:
        DataError, CheckpointError: the zoo cannot be written.
    """
    writer.flush()
    written = writer.written
    networks, runs = len(written), len({network.run.name for _, _, network in written})
    record = {**origin, "networks": networks, "runs": runs}
    writer.complete(record, lambda: write_imported_labels(writer.folder, written))
    return ImportReport(networks, runs, origin["dropped"], tuple(skipped))


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
