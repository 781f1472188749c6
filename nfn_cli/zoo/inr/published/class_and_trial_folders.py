"""Find the networks of a published set by the names of its folders."""

from __future__ import annotations

import os
from pathlib import Path

from nfn_cli.errors import DataError
from nfn_cli.folders import confined
from nfn_cli.zoo.inr.published.layouts import FINAL, TRIALS, NamedFolder, named_folder, net_number
from nfn_cli.zoo.inr.published.published_inr import PublishedInr, PublishedSet
from nfn_cli.zoo.published.readable import listed

_REMEDY = "give the folder of the set"


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
    layout = next(iter(sets[name].values())).layout
    inrs: list[PublishedInr] = []
    skipped: list[str] = []
    for own, says in sets[name].items():
        try:
            path = confined(folder, folder / own, "download the set again", is_there=os.path.isdir)
            inrs += _inrs(path, says, test_from) if says.layout is layout else []
        except DataError as error:
            skipped.append(str(error))
    inrs.sort(key=lambda inr: (inr.split, inr.number, inr.fit, inr.label))
    return PublishedSet(layout, name, tuple(inrs), tuple(skipped))


def _sets(folder: Path) -> dict[str, dict[str, NamedFolder]]:
    """The folders of a known layout and what their names say, by the name of their set."""
    sets: dict[str, dict[str, NamedFolder]] = {}
    for name in listed(folder, _REMEDY):
        if os.path.isdir(folder / name) and (says := named_folder(name)):
            sets.setdefault(says.data, {})[name] = says
    if not sets:
        cause = f"none of its folders is called like randinit_smaller_7s or mnist_png_training_7_123 (with {FINAL})"
        raise DataError(folder, cause, "give the folder that holds these, or a split file by --split")
    return sets


def _inrs(path: Path, says: NamedFolder, test_from: int) -> list[PublishedInr]:
    """The networks in a folder.

    Args:
        says: what its name says.
    """
    if says.layout is TRIALS:
        return [PublishedInr(path / FINAL, says.split, says.number, says.fit, says.label)]
    numbers = {name: net_number(name) for name in listed(path, _REMEDY)}
    return [
        PublishedInr(path / name, "test" if number >= test_from else "train", number, says.fit, says.label)
        for name, number in numbers.items()
        if number is not None
    ]
