"""A split file: which networks of a published set are to fit to, to validate on and to measure on.

    {"train": {"path": ["/home/them/mnist-inrs/mnist_png_training_7_123/checkpoints/model_final.pth", ...],
               "label": ["7", ...]}, "val": {...}, "test": {...}}

as written by AvivNavon/DWSNets (generate_data_splits.py) and mkofinas/neural-graphs. Its paths are those of its
authors' machines, so files are found by the ends of their paths.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from nfn_cli.errors import DataError
from nfn_cli.records import read_text
from nfn_cli.zoo.inr.published.layouts import Layout, placed
from nfn_cli.zoo.inr.published.published_inr import PublishedInr, PublishedSet
from nfn_cli.zoo.published.imported_network import as_text

# Who fits a head holds networks out of the training part himself.
_PARTS = {"train": "train", "val": "train", "test": "test"}
_LARGEST = 1 << 26  # bytes; 100 for each network of a large set
_SHAPE = "give one such as DWSNets writes: train, val and test, each with path and label"


def read_split(folder: Path, path: Path) -> PublishedSet:
    """The networks that a split file lists, in its order; nothing outside `folder` is taken.

    Paths are matched by their ends, the longest first, of two names or more where there are so many. Those without a
    file in `folder`, and those that lead to a file that was listed before, are skipped.

    Raises:
        DataError: the file is unreadable, has another layout, or lists nothing.
    """
    loaded = _loaded(path)
    inrs: list[PublishedInr] = []
    skipped: list[str] = []
    layouts: Counter[Layout] = Counter()
    taken: set[Path] = set()
    for part, split in _PARTS.items():
        for listed, label in _entries(path, part, loaded):
            found = _in_folder(folder, listed)
            if found is None or found in taken:
                cause = f"no such file in {folder}" if found is None else f"{path} lists it twice"
                skipped.append(str(DataError(as_text(listed), cause, "take the split file of this very set")))
                continue
            taken.add(found)
            layout, number, fit = placed(found)
            layouts[layout] += 1
            inrs.append(PublishedInr(found, split, number, fit, label))
    if not inrs:
        cause = f"none of the {len(skipped):,} files that it lists is in {folder}" if skipped else "lists no network"
        raise DataError(path, cause, "give the folder of the set that it divides")
    return PublishedSet(layouts.most_common(1)[0][0], path.stem, tuple(inrs), tuple(skipped))


def _loaded(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(read_text(path, _LARGEST))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "give a split file by --split") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"not readable JSON ({error})", "download it again") from error
    if not isinstance(loaded, dict) or not _PARTS.keys() & loaded.keys():
        raise DataError(path, "is no split file", _SHAPE)
    return loaded


def _entries(path: Path, part: str, loaded: dict[str, Any]) -> list[tuple[str, str]]:
    """Paths and labels of one part."""
    if part not in loaded:
        return []
    entry = loaded[part]
    paths, labels = (entry.get("path"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
    if not isinstance(paths, list) or not all(isinstance(listed, str) for listed in paths):
        raise DataError(path, f"{part} is no list of paths", _SHAPE)
    if not isinstance(labels, list) or not all(type(label) in (str, int) for label in labels):
        raise DataError(path, f"{part} has no labels", _SHAPE)
    if len(paths) != len(labels):
        raise DataError(path, f"{part} has {len(paths):,} paths and {len(labels):,} labels", "download it again")
    return [(listed, as_text(str(label))) for listed, label in zip(paths, labels, strict=True)]


def _in_folder(folder: Path, listed: str) -> Path | None:
    """The file in `folder` that a path's longest end leads to."""
    parts = [part for part in re.split(r"[/\\]+", listed) if part not in ("", ".")]
    if ".." in parts:  # what stands before it says nothing, and it must not lead upwards
        parts = parts[len(parts) - parts[::-1].index("..") :]
    for start in range(max(1, len(parts) - 1)):
        path = folder.joinpath(*parts[start:])
        if os.path.isfile(path):
            return path
    return None
