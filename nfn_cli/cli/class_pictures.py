"""What `nfn classify-inr` shows beside its rows: the pictures, with predicted and true classes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import require_free, require_png
from nfn_cli.cli.terminal_pictures import print_pictures
from nfn_cli.errors import DataError, NfnError

if TYPE_CHECKING:
    from nfn_cli.cli.commands.classify_inr import ClassifyOptions
    from nfn_cli.scoring import ClassRow

MOST = 2_000
_SIDE = 28
_SCALE = 3
_RIGHT, _WRONG, _UNSURE = (30, 110, 50), (190, 30, 30), (30, 30, 30)


class ClassPictures:
    """Collects rows, and shows their pictures at the end; of very many, the first ones.

    Args:
        options: a contact sheet, a drawing in the terminal, or both; and the file of true classes.
        aside: the drawing goes to stderr, for stdout has rows that a program reads.

    Raises:
        DataError: unreadable true classes.
        UsageError, CheckpointError: the sheet cannot be written.
    """

    def __init__(self, options: ClassifyOptions, *, aside: bool) -> None:
        from nfn_cli.pictures import require_pillow

        self._options, self._aside = options, aside
        self._rows: list[ClassRow] = []
        self._more = False
        self._known: dict[Path, dict[str, str]] = {}
        if options.sheet is not None:
            require_png("--sheet", options.sheet)
            require_pillow("--sheet")
            require_free(options.sheet, overwrite=options.overwrite)
        if options.labels is not None:
            self._known[options.labels.parent] = _labels(options.labels)

    def take(self, rows: Sequence[Any]) -> None:
        """Rows as they are made."""
        sound = [scored.row for scored in rows if scored.row.error is None]
        self._more |= len(self._rows) + len(sound) > MOST
        self._rows += sound[: MOST - len(self._rows)]

    def show(self) -> None:
        """Draw the sheet, and in the terminal."""
        from nfn_cli.pictures import DrawSettings, drawn

        if not self._rows:
            return
        if self._more:
            tell(f"the first {MOST:,} networks are drawn")
        files = list(dict.fromkeys(_file(row.path) for row in self._rows))
        settings = DrawSettings(_SIDE, _SIDE, activation=self._options.activation)
        pixels = {own.path: own.pixels for own in drawn(files, settings, on_error=_tell)}
        rows = [row for row in self._rows if _drawn(row) in pixels]
        if not rows:
            return
        if self._options.sheet is not None:
            self._write(self._options.sheet, rows, pixels)
        if self._options.render:
            captions = [self._caption(row) for row in rows]
            stream = sys.stderr if self._aside else sys.stdout
            print_pictures([pixels[_drawn(row)] for row in rows], captions, stream)

    def _write(self, sheet: Path, rows: Sequence[ClassRow], pixels: dict[str, Any]) -> None:
        from nfn_cli.pictures import Caption, contact_sheet, save_png

        captions = [Caption(self._caption(row), self._colour(row)) for row in rows]
        image = contact_sheet([pixels[_drawn(row)] for row in rows], captions, scale=_SCALE)
        save_png(sheet, image, overwrite=self._options.overwrite)

    def _caption(self, row: ClassRow) -> str:
        true = self._true(row)
        told = f"{row.label} {row.probability:.0%}"
        return told if true is None else f"{told} (is {true})" if true != row.label else f"{told} ok"

    def _colour(self, row: ClassRow) -> tuple[int, int, int]:
        true = self._true(row)
        return _UNSURE if true is None else _RIGHT if true == row.label else _WRONG

    def _true(self, row: ClassRow) -> str | None:
        """The true class, from the labels that were given or from `labels.csv` beside the file."""
        file = _file(row.path)
        if file.parent not in self._known and self._options.labels is None:
            beside = file.parent / "labels.csv"
            self._known[file.parent] = _labels(beside) if os.path.exists(beside) else {}
        for folder, known in self._known.items():
            name = os.path.relpath(file, folder)
            mark = row.path.rpartition("#")[2] if Path(row.path) != file else ""
            label = known.get(f"{name}#{mark}" if mark else name)
            if label is not None:
                return _named(label, row)
        return None


def _named(label: str, row: ClassRow) -> str:
    """A class by the name that the head gives it."""
    from nfn_cli.nn.choose import load_config

    classes = load_config(row.head or "", task="classify-inr").details.classes
    return classes[int(label)] if label.isdigit() and int(label) < len(classes) else label


def _labels(path: Path) -> dict[str, str]:
    from nfn_cli.zoo import read_inr_rows

    try:
        rows = read_inr_rows(path)
    except DataError as error:
        raise DataError(error.subject, error.cause, "give a CSV file with the columns file and label") from error
    return {os.path.normpath(row.file) + ("" if row.index is None else f"#{row.index}"): str(row.label) for row in rows}


def _drawn(row: ClassRow) -> str:
    """What the row's picture is called: `./a.pt` is drawn as `a.pt`."""
    return str(Path(row.path))


def _file(name: str) -> Path:
    """The file of a row, whose name may be that of one network in a packed file."""
    file, mark, place = name.rpartition("#")
    return Path(file) if mark and place.isdigit() and not os.path.exists(name) else Path(name)


def _tell(path: Path, error: NfnError) -> None:
    tell(f"{path}: not drawn ({error.cause})")
