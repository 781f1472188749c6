"""`labels.csv`: one row per checkpoint of a zoo, with its accuracy and the run it came from."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from nfn_cli.checkpoints import write_atomically
from nfn_cli.errors import DataError
from nfn_cli.zoo.hyperparameters import Hyperparameters

LABELS_FILE = "labels.csv"
RUN_COLUMN = "run"
ACCURACY_COLUMN = "test_accuracy"
# Accuracies on the test images at even and at odd places.
HALVES = ("even_accuracy", "odd_accuracy")

Row = TypeVar("Row")
_REMEDY = "give the CSV file with one row a checkpoint"
_PARSERS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}


@dataclass(frozen=True)
class ZooRow:
    """One checkpoint.

    Attributes:
        index: its position along a packed file's population axis, None for a file of its own.
        even_accuracy, odd_accuracy: of the test images at even and at odd places; None in older zoos.
    """

    file: str
    index: int | None
    epoch: int
    test_accuracy: float
    train_accuracy: float
    test_loss: float
    hyperparameters: Hyperparameters
    even_accuracy: float | None = None
    odd_accuracy: float | None = None


@dataclass(frozen=True)
class Label:
    """What fitting and evaluating a head needs to know of one checkpoint.

    Checkpoints of one training run resemble each other, so every split is made by `run`.

    Attributes:
        file, index: where it is: a file, and its position along a packed file's population axis (else None).
        run: equal for checkpoints that no split may part.
        target: what a head predicts, an accuracy or the number of a class.
        split: the part that the table puts it into, such as "test"; empty where the table says nothing.
        halves: its accuracies on two halves of the test images; None where the table does not say them.
    """

    file: str
    index: int | None
    run: str
    target: float
    split: str = ""
    halves: tuple[float, float] | None = None


def write_labels(folder: Path, rows: Sequence[ZooRow]) -> None:
    """Write `labels.csv` in `folder`, replacing it in one step."""
    names = [field.name for kind in (ZooRow, Hyperparameters) for field in fields(kind)]
    names.remove("hyperparameters")

    def flat(row: ZooRow) -> dict[str, object]:
        record = asdict(row)
        return record.pop("hyperparameters") | record

    write_table(folder, names, map(flat, rows))


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


def typed_cells(kind: Any, cells: Mapping[str, str | None]) -> dict[str, Any]:
    """The plain fields of a row's dataclass from the cells of a table; an empty cell is None where a field may be that.

    Where a column is missing, a field that has a default is left out.

    Args:
        kind: a dataclass; fields that are neither text nor numbers are left out.
        cells: by the names of the columns.

    Raises:
        KeyError: a column is missing that is needed.
        ValueError: a cell is missing, or not of its field's type.
    """
    values: dict[str, Any] = {}
    for own in fields(kind):
        name, optional = str(own.type).removesuffix(" | None"), str(own.type).endswith(" | None")
        if own.name not in cells and own.default is not MISSING:
            continue
        if name in _PARSERS:
            cell = cells[own.name]
            if cell is None:
                raise ValueError(f"no cell {own.name}")
            values[own.name] = None if optional and not cell else _PARSERS[name](cell)
    return values


def read_zoo_rows(path: Path) -> list[ZooRow]:
    """Read what `write_labels` wrote.

    Raises:
        DataError: the file is unreadable, or a row is not one of a zoo.
    """
    return parsed_rows(path, _zoo_row, "a zoo")


def _zoo_row(row: Mapping[str, str]) -> ZooRow:
    # Older zoos do not say all of what a run is made of.
    cells = {own.name: _as_cell(own.default) for own in fields(Hyperparameters) if own.default is not MISSING}
    cells |= {name: cell for name, cell in row.items() if name not in cells or cell}
    run = Hyperparameters(**typed_cells(Hyperparameters, cells))
    return ZooRow(**typed_cells(ZooRow, cells), hyperparameters=run)


def _as_cell(value: object) -> str:
    return "" if value is None else str(value)


def parsed_rows(
    path: Path, parse: Callable[[dict[str, str]], Row], kind: str, remedy: str = "mend the row or remove it"
) -> list[Row]:
    """Every row of a table, parsed.

    Args:
        parse: makes a row of its cells; its KeyError or ValueError mean that it is none.
        kind: of zoo, for the error.

    Raises:
        DataError: the file is unreadable, or a row is not one of such a zoo.
    """
    rows = []
    for line, row in read_table(path):
        try:
            rows.append(parse(row))
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}:{line}", f"not a row of {kind} ({error})", remedy) from error
    return rows


def read_labels(
    path: Path, column: str = ACCURACY_COLUMN, run_column: str = RUN_COLUMN, *, unique: bool = False
) -> list[Label]:
    """Read what a head is fitted to.

    Args:
        path: a CSV file with the columns `file` and `column`; `index` and `run` are optional. Without `run`, each
            file counts as a run of its own. `even_accuracy` and `odd_accuracy` are read as the halves of
            `test_accuracy`, and of no other column.
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
        halves = _halves(row, f"{path}:{line}") if column == ACCURACY_COLUMN else None
        labels.append(Label(row["file"], index, row.get(run_column) or row["file"], accuracy, halves=halves))
    return labels


def _halves(row: Mapping[str, str], line: str) -> tuple[float, float] | None:
    """Accuracies on both halves of the test images; None where a cell is empty or a column missing."""
    even, odd = (row.get(name) for name in HALVES)
    if not even or not odd:
        return None
    try:
        halves = float(even), float(odd)
    except ValueError as error:
        raise DataError(line, f"not a number ({error})", "mend the row or remove it") from error
    if not all(0 <= own <= 1 for own in halves):
        cause = f"{' and '.join(HALVES)} are {halves[0]} and {halves[1]}"
        raise DataError(line, cause, "give accuracies as fractions between 0 and 1")
    return halves


def read_table(path: Path, missing: str = _REMEDY, remedy: str = _REMEDY) -> list[tuple[int, dict[str, str]]]:
    """Every row under the header line, with the number of its line.

    Args:
        missing: what to do where the file is not there.
        remedy: what to do where it cannot be read.

    Raises:
        DataError: the file is unreadable.
    """
    try:
        # Spreadsheets put a byte order mark before the header, which "utf-8-sig" takes off.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(path, "no such file", missing) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a readable CSV file ({error})", remedy) from error
