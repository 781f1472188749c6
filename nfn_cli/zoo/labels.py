"""`labels.csv`: one row per checkpoint of a zoo, with its accuracy and the run it came from."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nfn_cli.checkpoints import write_atomically
from nfn_cli.errors import DataError
from nfn_cli.zoo.hyperparameters import SCHEDULES, Hyperparameters

LABELS_FILE = "labels.csv"
RUN_COLUMN = "run"
_REMEDY = "give the CSV file with one row a checkpoint"


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

    Attributes:
        file, index: where it is: a file, and its place along a packed file's population axis (else None).
        run: equal for checkpoints that no split may part.
        target: what a head predicts, an accuracy or the number of a class.
        split: the part that the table puts it into, such as "test"; empty where the table says nothing.
    """

    file: str
    index: int | None
    run: str
    target: float
    split: str = ""


def write_labels(folder: Path, rows: Sequence[ZooRow]) -> None:
    """Write `labels.csv` in `folder`, replacing it in one step."""
    own = [field.name for field in fields(ZooRow) if field.name != "hyperparameters"]
    names = [*own, *(field.name for field in fields(Hyperparameters))]
    write_table(
        folder, names, ({name: getattr(row, name) for name in own} | asdict(row.hyperparameters) for row in rows)
    )


def write_table(folder: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `labels.csv` in `folder` from rows of any columns, replacing it in one step.

    Rows are taken one at a time; what a row lacks is left empty.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(folder / LABELS_FILE, write, overwrite=True)


def read_zoo_rows(path: Path) -> list[ZooRow]:
    """Read what `write_labels` wrote.

    Raises:
        DataError: the file is unreadable, or a row is not one of a zoo.
    """
    rows = []
    for line, row in read_table(path):
        try:
            rows.append(_zoo_row(row))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}:{line}", f"not a row of a zoo ({error})", "mend the row or remove it") from error
    return rows


def read_labels(
    path: Path, column: str = "test_accuracy", run_column: str = RUN_COLUMN, *, unique: bool = False
) -> list[Label]:
    """Read what a head is fitted to.

    Args:
        path: a CSV file with the columns `file` and `column`; `index` and `run` are optional. Without `run`, each
            file counts as a run of its own.
        column: the accuracy to predict, a number in [0, 1].
        run_column: the column that names the training run; it must be there if it is not called `run`.
        unique: refuse a network that is listed twice.

    Raises:
        DataError: the file is unreadable or has no rows, a column is missing, a value is no number in [0, 1], or with
            `unique` a network is listed twice.
    """
    rows = read_table(path)
    if not rows:
        raise DataError(path, "the CSV file has no rows", _REMEDY)
    _, first = rows[0]
    needed = ("file", column) if run_column == RUN_COLUMN else ("file", column, run_column)
    for name in needed:
        if name not in first:
            has = ", ".join(str(other) for other in first if other)
            raise DataError(path, f"no column {name!r} (it has {has})", "add it, or name another column")
    labels = []
    lines: dict[tuple[str, int | None], int] = {}
    for line, row in rows:
        try:
            accuracy = float(row[column])
            index = int(row["index"]) if row.get("index") else None
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}:{line}", f"not a number ({error})", "mend the row or remove it") from error
        if not 0 <= accuracy <= 1:
            percent = "divide percentages by 100: " if 1 < accuracy <= 100 else ""
            remedy = f"{percent}give accuracies as fractions between 0 and 1"
            raise DataError(f"{path}:{line}", f"{column} is {accuracy}", remedy)
        if not row["file"]:
            raise DataError(f"{path}:{line}", "names no file", "mend the row or remove it")
        before = lines.setdefault((os.path.normpath(row["file"]), index), line)
        if unique and before != line:
            raise DataError(
                f"{path}:{line}", f"lists {row['file']} again (after line {before})", "keep one of the rows"
            )
        labels.append(Label(row["file"], index, row.get(run_column) or row["file"], accuracy))
    return labels


def read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Every row under the header line, with the number of its line.

    Raises:
        DataError: the file is unreadable.
    """
    try:
        # Spreadsheets put a byte order mark before the header, which "utf-8-sig" takes off.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(path, "no such file", _REMEDY) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a readable CSV file ({error})", _REMEDY) from error


def _zoo_row(row: dict[str, str]) -> ZooRow:
    run = Hyperparameters(
        run=int(row["run"]),
        seed=int(row["seed"]),
        activation=row["activation"],
        learning_rate=float(row["learning_rate"]),
        l2=float(row["l2"]),
        dropout=float(row["dropout"]),
        optimizer=row["optimizer"],
        initialiser=row["initialiser"],
        initialiser_scale=float(row["initialiser_scale"]),
        train_fraction=float(row["train_fraction"]),
        batch_size=int(row["batch_size"]),
        schedule=row.get("schedule") or SCHEDULES[0],  # older zoos do not say
    )
    return ZooRow(
        file=row["file"],
        index=int(row["index"]) if row["index"] else None,
        epoch=int(row["epoch"]),
        test_accuracy=float(row["test_accuracy"]),
        train_accuracy=float(row["train_accuracy"]),
        test_loss=float(row["test_loss"]),
        hyperparameters=run,
    )
