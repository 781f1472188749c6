"""`labels.csv`: one row per checkpoint of a zoo, with its accuracy and the run it came from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nfn_cli.checkpoints import write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.zoo.hyperparameters import Hyperparameters

LABELS_FILE = "labels.csv"


@dataclass(frozen=True)
class ZooRow:
    """One checkpoint. `index` is its place along a packed file's population axis, None for a file of its own."""

    file: str
    index: int | None
    epoch: int
    test_accuracy: float
    train_accuracy: float
    test_loss: float
    hyperparameters: Hyperparameters


@dataclass(frozen=True)
class Label:
    """What fitting and evaluating a head needs to know of one checkpoint.

    Checkpoints of one training run resemble each other, so every split is made by `run`.
    """

    file: str
    index: int | None
    run: str
    accuracy: float


def write_labels(folder: Path, rows: Sequence[ZooRow]) -> None:
    """Write `labels.csv` in `folder`, replacing it in one step."""
    own = [field.name for field in fields(ZooRow) if field.name != "hyperparameters"]
    names = [*own, *(field.name for field in fields(Hyperparameters))]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: getattr(row, name) for name in own} | asdict(row.hyperparameters))
    write_text_atomically(folder / LABELS_FILE, text.getvalue(), overwrite=True)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line.

    Raises:
        DataError: the file is missing, unreadable, or has no rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            path, f"not a readable CSV file ({error})", "give the CSV file with one row a checkpoint"
        ) from error
    if not rows:
        raise DataError(path, "the CSV file has no rows", "give the CSV file with one row a checkpoint")
    return rows


def read_labels(path: Path, column: str = "test_accuracy") -> list[Label]:
    """Read what a head is fitted to.

    Args:
        path: a CSV file with the columns `file` and `column`; `index` and `run` are optional. Without `run`, each
            file counts as a run of its own.
        column: the accuracy to predict, a number in [0, 1].

    Raises:
        DataError: a column is missing, or a value is no number in [0, 1].
    """
    rows = read_rows(path)
    for name in ("file", column):
        if name not in rows[0]:
            raise DataError(path, f"no column {name!r} (it has {', '.join(rows[0])})", "add it, or name another column")
    labels = []
    for line, row in enumerate(rows, start=2):
        try:
            accuracy = float(row[column])
            index = int(row["index"]) if row.get("index") else None
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}:{line}", f"not a number ({error})", "mend the row or remove it") from error
        if not 0 <= accuracy <= 1:
            raise DataError(f"{path}:{line}", f"{column} is {accuracy}", "give accuracies as fractions between 0 and 1")
        labels.append(Label(row["file"], index, row.get("run") or row["file"], accuracy))
    return labels
