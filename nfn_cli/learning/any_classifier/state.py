"""What an unfinished fit of a head for any classifier keeps in the head's folder: what was read, and finished fits.

Of networks that are read by labels it keeps finished fits alone: these are read again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from nfn_cli.learning.any_classifier.fits import Told
from nfn_cli.learning.any_classifier.settings import AnySettings
from nfn_cli.learning.fit_state import FitState, StateKeeper
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.kinds import kind_of
from nfn_cli.zoo.listed_classifiers import FoundStatistics, LabelledClassifiers, ListedClassifier

_PARTS = ("statistics", "unrun")
_ANSWERS = tuple(own.name for own in fields(Told) if own.name != "model")


class AnyState:
    """The state of a fit, read from the head's folder where an earlier sitting left it.

    Args:
        out, made_of, overwrite: as in `StateKeeper`.

    Raises:
        DataError: as `StateKeeper`.
    """

    def __init__(self, out: Path, made_of: dict[str, Any], *, overwrite: bool = False) -> None:
        self._keeper = StateKeeper(out, made_of, overwrite=overwrite)
        self.statistics: FoundStatistics | None = None
        self.told: dict[int, Told] = {}
        saved = self._keeper.saved
        if saved is None:
            return
        if "architectures" in saved.values:
            parts = {}
            for part in _PARTS:
                tensors = saved.part(f"{part}.")
                parts[part] = NetworkStatistics(**{own.name: tensors[own.name] for own in fields(NetworkStatistics)})
            self.statistics = FoundStatistics(**parts, architectures=tuple(saved.values["architectures"]))
        for number in saved.values["told"]:
            answers = saved.part(f"told.{number}.")
            self.told[number] = Told(**{name: answers[name] for name in _ANSWERS}, model=saved.part(f"model.{number}."))

    def keep_statistics(self, networks: LabelledClassifiers) -> None:
        """Keep what was read, before the fits begin."""
        if isinstance(networks.statistics, NetworkStatistics):
            self.statistics = FoundStatistics(networks.statistics, networks.unrun, networks.architectures)
        self.save()

    def keep(self, number: int, told: Told) -> None:
        """Keep what the model of a finished fit says; written at once if the last writing is some seconds ago."""
        self.told[number] = told
        if self._keeper.due():
            self.save()

    def remove(self) -> None:
        """Remove the state, of a fit that is finished."""
        self._keeper.remove()

    def save(self) -> None:
        """Write all that is kept."""
        tensors: dict[str, Any] = {}
        values: dict[str, Any] = {"told": sorted(self.told)}
        if self.statistics is not None:
            values["architectures"] = list(self.statistics.architectures)
            tensors = {
                f"{part}.{field.name}": getattr(getattr(self.statistics, part), field.name)
                for part in _PARTS
                for field in fields(NetworkStatistics)
            }
        for number, told in self.told.items():
            tensors |= {f"told.{number}.{name}": getattr(told, name) for name in _ANSWERS}
            tensors |= {f"model.{number}.{name}": tensor for name, tensor in told.model.items()}
        # Tensors in memory that processes share are copied: a file holds each once.
        self._keeper.save(FitState({name: tensor.clone() for name, tensor in tensors.items()}, values))


def made_of(rows: Sequence[ListedClassifier], settings: AnySettings, device: str) -> dict[str, Any]:
    """All that a fit follows from, under names that a refusal can give.

    Files count by their sizes and by when they were written: to read them all is what a state spares.
    """
    known = [(row.label, row.task, row.family, row.trainer, row.place.index) for row in rows]
    stamps = {}
    for path in {row.place.path for row in rows}:
        try:
            found = os.stat(path)
            stamps[str(path)] = (found.st_size, found.st_mtime_ns)
        except OSError:  # its reading says so
            stamps[str(path)] = (0, 0)
    contents = hashlib.sha256(repr((known, sorted(stamps.items()))).encode())
    return {
        **asdict(settings.fit.fit),
        "sizes": asdict(settings.fit.sizes),
        "level": settings.level,
        "split seed": settings.split_seed,
        "activation": settings.activation,
        "kind": kind_of(settings.fit.sizes),
        "device": torch.device(device).type,
        "data set": contents.hexdigest(),
    }
