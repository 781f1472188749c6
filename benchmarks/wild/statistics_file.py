"""Statistics of labelled classifiers in one compressed NumPy archive: what a head is fitted to, without the weights.

A zoo of thousands of networks has gigabytes; its statistics have a few megabytes. `python benchmarks/wild/collect.py`
writes such a file from zoos, `fit.py` fits a head to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfn_cli.nn.any_classifier.network_statistics import MOST_LAYERS, NetworkStatistics, joined_statistics
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers, Place

_COLUMNS = ("runs", "tasks", "families", "trainers", "architectures", "files")


def write_statistics(path: Path, networks: LabelledClassifiers) -> None:
    """Write networks, statistics as float16."""
    arrays = {
        "targets": networks.targets.numpy(),
        "halves": networks.halves.float().numpy(),
        **{name: np.array(getattr(networks, name)) for name in _COLUMNS},
    }
    # A network that has no second reading has its first one there.
    again = (networks.statistics.runs & ~networks.unrun.runs).nonzero()[:, 0]
    arrays["again"] = again.numpy()
    for name, own in (("run", networks.statistics), ("unrun", networks.unrun.select(again))):
        there = torch.arange(MOST_LAYERS) < own.depth[:, None]
        arrays |= {
            f"{name}.layers": own.layers[there].half().numpy(),
            f"{name}.depth": own.depth.to(torch.uint8).numpy(),
            f"{name}.whole": own.whole.half().numpy(),
            f"{name}.answers": own.answers.half().numpy(),
            f"{name}.runs": own.runs.numpy(),
            f"{name}.classes": own.classes.to(torch.int16).numpy(),
        }
    np.savez_compressed(path, **arrays)


def read_statistics(paths: Sequence[Path]) -> LabelledClassifiers:
    """The networks of some files, in their order."""
    parts = [_read(path) for path in paths]
    columns = {
        name: tuple(own for part in parts for own in getattr(part, name))
        for name in ("runs", "tasks", "families", "trainers", "architectures", "places")
    }
    return LabelledClassifiers(
        statistics=joined_statistics([part.statistics for part in parts]),
        unrun=joined_statistics([part.unrun for part in parts]),
        targets=torch.cat([part.targets for part in parts]),
        halves=torch.cat([part.halves for part in parts]),
        **columns,
    )


def _read(path: Path) -> LabelledClassifiers:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    own, unrun = _statistics(arrays, "run"), _statistics(arrays, "unrun")
    again = torch.from_numpy(arrays["again"])
    second = own.mapped(Tensor.clone)
    for name in ("layers", "depth", "whole", "answers", "runs", "classes"):
        getattr(second, name)[again] = getattr(unrun, name)
    columns = {name: tuple(map(str, arrays[name])) for name in _COLUMNS}
    files = columns.pop("files")
    return LabelledClassifiers(
        statistics=own,
        unrun=second,
        targets=torch.from_numpy(arrays["targets"]).double(),
        halves=torch.from_numpy(arrays["halves"]).double(),
        places=tuple(Place(Path(file), None) for file in files),
        **columns,
    )


def _statistics(arrays: dict[str, np.ndarray], name: str) -> NetworkStatistics:
    depth = torch.from_numpy(arrays[f"{name}.depth"]).long()
    flat = torch.from_numpy(arrays[f"{name}.layers"]).float()
    layers = torch.zeros(len(depth), MOST_LAYERS, flat.shape[1])
    layers[torch.arange(MOST_LAYERS) < depth[:, None]] = flat
    return NetworkStatistics(
        layers=layers,
        depth=depth,
        whole=torch.from_numpy(arrays[f"{name}.whole"]).float(),
        answers=torch.from_numpy(arrays[f"{name}.answers"]).float(),
        runs=torch.from_numpy(arrays[f"{name}.runs"]),
        classes=torch.from_numpy(arrays[f"{name}.classes"]).long(),
    )
