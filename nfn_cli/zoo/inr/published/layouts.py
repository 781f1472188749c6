"""How published sets of SIRENs name their files, and what their networks give.

Two layouts, known by the names of folders:

    randinit_smaller_7s/net123.pth                      Zhou et al. 2023, AllanYangZhou/nfn (data_utils.py)
    randinit_smaller_aug0_7s/net123.pth                 another fit to the same picture
    mnist_png_training_7_123/checkpoints/model_final.pth
                                                        Navon et al. 2023, AvivNavon/DWSNets (generate_data_splits.py)

In both, ω₀ is 30. The pictures of the first have the values -1 to 1, and their places are (row, column)
(siren_utils.py). The networks of the second give a picture in [0, 1] less 0.5 (inr.py), and their places are
(column, row): `make_coordinates` (utils.py) lets the first one run fastest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

FINAL = "checkpoints/model_final.pth"

_CLASS_FOLDER = re.compile(r"(?P<data>.+?)(_aug(?P<copy>[0-9]{1,6}))?_(?P<label>[0-9]{1,9})s")
_NET = re.compile(r"net([0-9]{1,15})\.pth")
_TRIAL = re.compile(r"(?P<data>.+)_png_(?P<part>training|train|testing|test)_(?P<label>[^_]+)_(?P<number>[0-9]{1,15})")
_NUMBERED = re.compile(r"(?:.*[^0-9])?([0-9]{1,15})")


@dataclass(frozen=True)
class Layout:
    """A way in which a set is published.

    Attributes:
        source: for the zoo's record.
        value_range: what its networks give for black and white.
        column_first: whether its places are (column, row).
    """

    source: str
    value_range: tuple[float, float]
    column_first: bool


CLASS_FOLDERS = Layout("SIRENs of Zhou et al. 2023 (arXiv 2302.14040)", (-1.0, 1.0), column_first=False)
TRIALS = Layout("INRs of Navon et al. 2023 (arXiv 2301.12780)", (-0.5, 0.5), column_first=True)


@dataclass(frozen=True)
class NamedFolder:
    """What the name of a folder says: of one class's networks (`CLASS_FOLDERS`), or of one network (`TRIALS`).

    Attributes:
        layout: of the two.
        data: name of the set.
        label: class of the pictures.
        fit: of one class's networks, 0, or a number from 1 for further fits to the same pictures.
        split, number: of one network's picture.
    """

    layout: Layout
    data: str
    label: str
    fit: int = 0
    split: str = ""
    number: int | None = None


def named_folder(name: str) -> NamedFolder | None:
    """None where it is of neither layout.

    >>> named_folder("randinit_smaller_aug9_7s").fit
    10
    >>> named_folder("mnist_png_training_7_123").split
    'train'
    """
    if found := _TRIAL.fullmatch(name):
        split, number = found["part"].removesuffix("ing"), int(found["number"])
        return NamedFolder(TRIALS, found["data"], found["label"], split=split, number=number)
    if found := _CLASS_FOLDER.fullmatch(name):
        fit = int(found["copy"]) + 1 if found["copy"] else 0
        return NamedFolder(CLASS_FOLDERS, found["data"], found["label"], fit)
    return None


def net_number(name: str) -> int | None:
    """The number of a file in a class's folder, None where it is no such file."""
    found = _NET.fullmatch(name)
    return int(found[1]) if found else None


def placed(path: PurePath) -> tuple[Layout, int | None, int]:
    """The layout of a file that a split file lists, its picture's number (None where the name has none), and which
    fit to the picture it is.

    >>> placed(PurePath("fmnist_inrs/train/model_20814.pth"))[1:]
    (20814, 0)
    """
    own, number = named_folder(path.parent.name), net_number(path.name)
    if own is not None and own.layout is CLASS_FOLDERS and number is not None:
        return CLASS_FOLDERS, number, own.fit
    trial = named_folder(path.parent.parent.name)
    if trial is not None and trial.layout is TRIALS:
        return TRIALS, trial.number, 0
    found = _NUMBERED.fullmatch(path.stem)
    return TRIALS, int(found[1]) if found else None, 0
