"""Networks in a folder that its table does not list."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from nfn_cli.checkpoints import find_checkpoints, population_of
from nfn_cli.zoo.labels import LABELS_FILE, read_table

_NAMED = 3


def unlisted_note(data: Sequence[Path], labels: Path | None) -> str | None:
    """What to say of networks that no table lists, such as `3 networks of runs are not in labels.csv and are left out:
    a.pt, b.pt, c.pt`; None where all are listed.

    Args:
        data: folders of checkpoints or packed files, or one packed file, whose tables have been read.
        labels: the table; by default `labels.csv` in the folder, or beside the packed file.

    Raises:
        CheckpointError, DataError: a file or table cannot be read.
    """
    names = [name for own in data for name in _unlisted(own, labels)]
    if not names:
        return None
    table = LABELS_FILE if labels is None else labels.name
    several = "1 network" if len(names) == 1 else f"{len(names):,} networks"
    verb = "is" if len(names) == 1 else "are"
    more = ", ..." if len(names) > _NAMED else ""
    where = data[0] if len(data) == 1 else f"{len(data)} folders"
    return f"{several} of {where} {verb} not in {table} and {verb} left out: {', '.join(names[:_NAMED])}{more}"


def _unlisted(data: Path, labels: Path | None) -> list[str]:
    is_folder = os.path.isdir(data)
    folder = data if is_folder else data.parent
    table = labels or folder / LABELS_FILE
    members: defaultdict[str, set[int]] = defaultdict(set)
    whole: set[str] = set()
    for _, row in read_table(table):
        own = folder / row["file"]
        path = os.path.realpath(own if os.path.exists(own) else table.parent / row["file"])
        if row.get("index"):
            members[path].add(int(row["index"]))
        else:
            whole.add(path)
    found: list[str] = []
    for file in find_checkpoints([data]):
        path, name = os.path.realpath(file), str(file.relative_to(folder))
        if path in members:
            held = population_of(file) or 0
            found += [f"{name}#{position}" for position in range(held) if position not in members[path]]
        elif path not in whole:
            found.append(name)
    return found
