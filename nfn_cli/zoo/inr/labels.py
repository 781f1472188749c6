"""`labels.csv` of a zoo of INRs: one row a network, with the picture that it represents and the class of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nfn_cli.errors import DataError, shown
from nfn_cli.zoo.labels import parsed_rows, typed_cells, write_table

SPLITS = ("train", "test")
MOST_CLASSES = 10_000
# The cells of columns that a table need not have.
_UNSAID = {"index": "", "split": "train", "image": "", "fit": "0", "psnr": ""}


@dataclass(frozen=True)
class InrRow:
    """One network.

    Attributes:
        file, index: where it is: a file, and its position along a packed file's population axis (else None).
        split: the part of the image set that the picture is from, "train" or "test".
        image: the picture's number in that part; None where it is not known.
        fit: which of several independent fits to the picture.
        label: the picture's class.
        psnr: of the network's picture, in dB; None where it is not known.
    """

    file: str
    index: int | None
    split: str
    image: int | None
    fit: int
    label: int
    psnr: float | None

    @property
    def run(self) -> str:
        """Equal for fits to one picture, which no split may part; of its own where the picture is not known."""
        if self.image is not None:
            return f"{self.split}-{self.image}"
        return self.file if self.index is None else f"{self.file}#{self.index}"


def write_inr_rows(folder: Path, rows: Sequence[InrRow]) -> None:
    """Write `labels.csv` in `folder`, replacing it in one step."""
    names = [field.name for field in fields(InrRow)]
    write_table(folder, [*names, "run"], (asdict(row) | {"run": row.run} for row in rows))


def read_inr_rows(path: Path, *, none: bool = False) -> list[InrRow]:
    """Read what `write_inr_rows` wrote, or a user's own table with the columns `file` and `label`; `split` is
    `train` where it is missing.

    Args:
        none: there may be no row.

    Raises:
        DataError: the file is unreadable, has no rows though it must, or a row is not one of INRs.
    """
    rows = parsed_rows(path, _inr_row, "a zoo of INRs", "give the columns file, label and split (train, test)")
    if not rows and not none:
        raise DataError(path, "the CSV file has no rows", "give the CSV file with one row a network")
    return rows


def _inr_row(row: Mapping[str, str]) -> InrRow:
    said = {name: cell for name, cell in row.items() if cell or name not in _UNSAID}
    found = InrRow(**typed_cells(InrRow, _UNSAID | said))
    if found.split not in SPLITS or not found.file or not 0 <= found.label < MOST_CLASSES:
        raise ValueError(f"split {shown(found.split)}, file {shown(found.file)}, label {found.label}")
    return found
