"""`metrics.csv.gz` of the Small CNN Zoo: what is known of each row of `weights.npy`, in the same order."""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nfn_cli.architectures import canonical_activation
from nfn_cli.errors import DataError, shown
from nfn_cli.zoo.published.imported_network import ImportedNetwork, ImportedRun, Value, require_share

_REQUIRED = ("modeldir", "step", "test_accuracy", "config.activation")
# The published columns, by the names that a trained zoo's labels have.
_NUMBERS = {
    "learning_rate": "config.learning_rate",
    "l2": "config.l2reg",
    "dropout": "config.dropout",
    "initialiser_scale": "config.init_std",
    "train_fraction": "config.train_fraction",
}
_NAMES = {"optimizer": "config.optimizer", "initialiser": "config.w_init", "data": "config.dataset"}
_INITIALISERS = {"RandomNormal": "normal", "TruncatedNormal": "truncated_normal"}
_CHECKPOINT = re.compile(r"/permanent_ckpt-\d+/?$")
_REMEDY = "download the zoo again"


def read_metrics(path: Path, count: int) -> list[ImportedNetwork]:
    """The networks of all `count` rows. The column `step` is the epoch; checkpoints of one `modeldir` are one run.

    Raises:
        DataError: the file is unreadable, lacks a column, has another number of rows, or a row makes no sense.
    """
    networks: list[ImportedNetwork] = []
    runs: dict[str, ImportedRun] = {}
    try:
        with gzip.open(path, "rt", newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = {name: position for position, name in enumerate(next(reader, []))}
            for name in _REQUIRED:
                if name not in columns:
                    raise DataError(path, f"no column {shown(name)}", _REMEDY)
            for row in reader:
                if len(networks) == count:
                    raise DataError(path, f"has more rows than weights.npy, which has {count:,}", _REMEDY)
                networks.append(_network(row, columns, runs, f"{path}:{reader.line_num}"))
    except FileNotFoundError as error:
        raise DataError(
            path, "no such file", "give the folder of weights.npy, layout.csv and metrics.csv.gz"
        ) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a readable CSV file under gzip ({error})", _REMEDY) from error
    if len(networks) < count:
        raise DataError(path, f"has {len(networks):,} rows, weights.npy has {count:,}", _REMEDY)
    return networks


def _network(
    row: Sequence[str], columns: Mapping[str, int], runs: dict[str, ImportedRun], place: str
) -> ImportedNetwork:
    if len(row) != len(columns):
        raise DataError(place, f"has {len(row)} cells, the header {len(columns)}", _REMEDY)
    cells = {name: row[position] for name, position in columns.items()}
    name = _CHECKPOINT.sub("", cells["modeldir"])
    if not name:
        raise DataError(place, "names no modeldir", _REMEDY)
    if name not in runs:
        runs[name] = _run(name, cells, place)
    accuracy = _number(cells["test_accuracy"], place)
    require_share(accuracy, place, "test_accuracy")
    return ImportedNetwork(
        run=runs[name],
        epoch=_step(cells["step"], place),
        test_accuracy=accuracy,
        test_loss=_figure(cells, "test_loss", place),
        train_accuracy=_figure(cells, "train_accuracy", place),
        train_loss=_figure(cells, "train_loss", place),
    )


def _run(name: str, cells: Mapping[str, str], place: str) -> ImportedRun:
    known: dict[str, Value] = {}
    known |= {ours: _number(cells[theirs], place) for ours, theirs in _NUMBERS.items() if cells.get(theirs)}
    names = {ours: cells[theirs] for ours, theirs in _NAMES.items() if cells.get(theirs)}
    known |= {ours: _INITIALISERS.get(own, own) for ours, own in names.items()}
    return ImportedRun(name, canonical_activation(cells["config.activation"], place), known)


def _figure(cells: Mapping[str, str], name: str, place: str) -> float | None:
    return _number(cells[name], place) if name in cells else None


def _number(cell: str, place: str) -> float:
    """A cell's number. An empty one is how NaN is written."""
    try:
        return float(cell) if cell else math.nan
    except ValueError as error:
        raise DataError(place, f"not a number ({error})", _REMEDY) from error


def _step(cell: str, place: str) -> int:
    step = _number(cell, place)
    if not (step >= 0 and step.is_integer()):
        raise DataError(place, f"step is {shown(cell)}", _REMEDY)
    return int(step)
