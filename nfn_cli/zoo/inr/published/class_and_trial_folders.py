"""Find the networks of a published set by the names of its folders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from nfn_cli.checkpoints import natural_key
from nfn_cli.errors import DataError
from nfn_cli.folders import confined
from nfn_cli.zoo.inr.published.layouts import (
    CLASS_FOLDERS,
    FINAL,
    TRIALS,
    Layout,
    class_folder,
    net_number,
    trial_folder,
)
from nfn_cli.zoo.inr.published.published_inr import PublishedInr, PublishedSet


@dataclass
class _Folders:
    """The folders of one set."""

    layout: Layout
    names: list[str] = field(default_factory=list)


def find_set(folder: Path, data: str | None, test_from: int) -> PublishedSet:
    """The networks below the folders in `folder`, in the order of split, picture and fit.

    Args:
        data: the set's name, where there are several.
        test_from: as in `InrSelection`.

    Raises:
        DataError: no folder is of a known layout, the set is not there, or several are and none was chosen.
    """
    sets = _sets(folder)
    if data is None and len(sets) > 1:
        remedy = f"choose one, such as --data {min(sets)}"
        raise DataError(folder, f"holds several sets ({', '.join(sorted(sets))})", remedy)
    name = data if data is not None else next(iter(sets))
    if name not in sets:
        raise DataError(folder, f"holds no set {name} (it has {', '.join(sorted(sets))})", "choose another by --data")
    chosen = sets[name]
    inrs: list[PublishedInr] = []
    skipped: list[str] = []
    for own in chosen.names:
        try:
            path = confined(folder, folder / own, "download the set again", is_there=os.path.isdir)
            inrs += _of_trial(path) if chosen.layout is TRIALS else _of_class(path, test_from)
        except DataError as error:
            skipped.append(str(error))
    inrs.sort(key=lambda inr: (inr.split, inr.number, inr.fit, inr.label))
    return PublishedSet(chosen.layout, name, tuple(inrs), tuple(skipped))


def _sets(folder: Path) -> dict[str, _Folders]:
    """The folders of a known layout, by the name of their set."""
    sets: dict[str, _Folders] = {}
    for name in _listed(folder):
        if not os.path.isdir(folder / name):
            continue
        if (trial := trial_folder(name)) is not None:
            sets.setdefault(trial.data, _Folders(TRIALS)).names.append(name)
        elif (own := class_folder(name)) is not None:
            sets.setdefault(own.data, _Folders(CLASS_FOLDERS)).names.append(name)
    if not sets:
        cause = f"none of its folders is called like randinit_smaller_7s or mnist_png_training_7_123 (with {FINAL})"
        raise DataError(folder, cause, "give the folder that holds these, or a split file by --split")
    return sets


def _of_trial(path: Path) -> list[PublishedInr]:
    trial = trial_folder(path.name)
    return [] if trial is None else [PublishedInr(path / FINAL, trial.split, trial.number, 0, trial.label)]


def _of_class(path: Path, test_from: int) -> list[PublishedInr]:
    own = class_folder(path.name)
    numbers = {name: net_number(name) for name in _listed(path)}
    return [
        PublishedInr(path / name, "test" if number >= test_from else "train", number, own.fit, own.label)
        for name, number in numbers.items()
        if number is not None and own is not None
    ]


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=lambda name: (natural_key(name), name))
    except OSError as error:
        raise DataError(folder, f"no readable folder ({error.strerror})", "give the folder of the set") from error
