"""`labels.csv` of a zoo of networks between two epochs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nfn_cli.zoo.labels import parsed_rows, typed_cells, write_table


@dataclass(frozen=True)
class BetweenRow:
    """One network between two saved epochs of a training run.

    Attributes:
        file, index: as in `ZooRow`.
        run: of the zoo that it is made of, so that no split parts it from that run.
        first_epoch, last_epoch: the saved epochs that it lies between.
        share: of the way from the first to the last.
        test_accuracy, even_accuracy, odd_accuracy, test_loss: measured by running it, as in `ZooRow`.
        activation, preprocessing: of the run.
    """

    file: str
    index: int | None
    run: int
    first_epoch: int
    last_epoch: int
    share: float
    test_accuracy: float
    test_loss: float
    activation: str
    preprocessing: str
    even_accuracy: float | None = None
    odd_accuracy: float | None = None


def write_between_rows(folder: Path, rows: Sequence[BetweenRow]) -> None:
    """Write `labels.csv` in `folder`, replacing it in one step."""
    write_table(folder, [own.name for own in fields(BetweenRow)], map(asdict, rows))


def read_between_rows(path: Path) -> list[BetweenRow]:
    """Read what `write_between_rows` wrote.

    Raises:
        DataError: the file is unreadable, or a row is not one of such a zoo.
    """
    return parsed_rows(path, lambda cells: BetweenRow(**typed_cells(BetweenRow, cells)), "a zoo between epochs")
