"""Read classifiers of any architectures that tables list, as statistics for a head to be fitted to."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import Stated
from nfn_cli.architectures.read_classifier import ReadClassifier, read_classifier
from nfn_cli.architectures.traced import NetworkTracer, shapes_of
from nfn_cli.checkpoints import Checkpoint, open_checkpoint, population_of, read_members
from nfn_cli.errors import ArchitectureError, DataError
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_classifier.statistics_of import statistics_of
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.processes import in_processes
from nfn_cli.zoo.labels import LABELS_FILE, RUN_COLUMN, Label, read_labels, read_table
from nfn_cli.zoo.listed_networks import confined

_TOGETHER = 16
# Fewer are read before other processes have imported torch.
_WORTH_PROCESSES = 128
_TRAINERS = ("trainer", "population")
KILLED = DataError(
    "reading", "a process was killed, perhaps because memory ran out", "give the same command again with more memory"
)


@dataclass(frozen=True)
class Place:
    """Where a network is: a file, and its position along a packed file's population axis (else None)."""

    path: Path
    index: int | None

    def __str__(self) -> str:
        return str(self.path) if self.index is None else f"{self.path}, network {self.index}"


@dataclass(frozen=True)
class ListedClassifier:
    """A row of a table.

    Attributes:
        place: of the network.
        label: its run and accuracy, and accuracies on halves of the test images.
        task, family, trainer: as the table says; empty where it has no such column. `population` is another name of the
            column `trainer`.
    """

    place: Place
    label: Label
    task: str = ""
    family: str = ""
    trainer: str = ""


@dataclass(frozen=True)
class LabelledClassifiers:
    """N classifiers of any architectures, and what is known of each.

    Attributes:
        statistics: of all; or, for a head that reads networks by labels, their fields.
        unrun: of all, as if it were not known how any is run. Those that are run are read there as a chain of layers;
            one that cannot be, such as a residual network, stands there as it is, with `runs` True.
        targets: accuracies float64 [N].
        halves: accuracies on two halves of the test images, float64 [N, 2]; NaN where they are not known.
        runs: the training run of each. Runs of several tables that have one name count as one: no split parts them.
        places: where each is.
        tasks, families, trainers: as the tables say; empty where they say nothing.
        architectures: equal for networks with the same shapes that are read alike.
    """

    statistics: AnyNetworks
    unrun: AnyNetworks
    targets: Tensor
    halves: Tensor
    runs: tuple[str, ...]
    places: tuple[Place, ...]
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    trainers: tuple[str, ...]
    architectures: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def files(self) -> tuple[str, ...]:
        """Names for messages."""
        return tuple(map(str, self.places))

    @property
    def classes(self) -> Tensor:
        """How many classes each tells apart, int64 [N]."""
        return self.statistics.classes

    @property
    def has_unrun(self) -> Tensor:
        """Whether each is run, and can be read as if it were not known how, bool [N]."""
        return self.statistics.runs & ~self.unrun.runs

    @property
    def has_halves(self) -> bool:
        """Whether the accuracies on both halves are known of all."""
        return bool(self.halves.isfinite().all())

    def column(self, name: str) -> tuple[str, ...]:
        """What the tables say of each: `task`, `family`, `trainer` or `run`; or the `architecture`."""
        columns = {
            "task": self.tasks,
            "family": self.families,
            "trainer": self.trainers,
            "run": self.runs,
            "architecture": self.architectures,
        }
        return columns[name]

    def select(self, positions: Sequence[int]) -> LabelledClassifiers:
        """The networks at these positions, in their order."""
        chosen = torch.tensor(list(positions), dtype=torch.int64)

        def own(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(values[position] for position in positions)

        return LabelledClassifiers(
            statistics=self.statistics.select(chosen),
            unrun=self.unrun.select(chosen),
            targets=self.targets[chosen],
            halves=self.halves[chosen],
            runs=own(self.runs),
            places=own(self.places),
            tasks=own(self.tasks),
            families=own(self.families),
            trainers=own(self.trainers),
            architectures=own(self.architectures),
        )

    def first(self, count: int | None) -> LabelledClassifiers:
        """As many of the networks, or all there are; None takes all."""
        return self.select(range(len(self))[:count])


def listed_classifiers(
    data: Sequence[Path],
    labels: Path | None = None,
    *,
    column: str = "test_accuracy",
    run_column: str = RUN_COLUMN,
    unique: bool = False,
) -> list[ListedClassifier]:
    """What the tables of some folders list; no checkpoint is read.

    Args:
        data: folders of checkpoints or packed files.
        labels: the CSV file, of one folder; by default `labels.csv` in each.
        column, run_column: as in `read_labels`.
        unique: refuse a network that is listed twice, in one table or by a folder that is given twice.

    Raises:
        DataError: a table is unusable, or lists a file outside its folder.
    """
    if labels is not None and len(data) > 1:
        raise DataError(labels, f"one table, and {len(data)} folders", "give a labels.csv in each of the folders")
    found: list[ListedClassifier] = []
    given: set[str] = set()
    for folder in data:
        own = os.path.realpath(folder)
        if unique and own in given:
            raise DataError(folder, "given twice", "give each folder once")
        given.add(own)
        if not os.path.isdir(folder):
            cause = "is no folder" if os.path.exists(folder) else "no such folder"
            raise DataError(folder, cause, "give a folder of checkpoints with a CSV file")
        table = labels or folder / LABELS_FILE
        rows = read_labels(table, column, run_column, unique=unique)
        for label, (_, cells) in zip(rows, read_table(table), strict=True):
            place = Place(confined(folder, label.file, table), label.index)
            trainer = next((cells[name] for name in _TRAINERS if cells.get(name)), "")
            found.append(ListedClassifier(place, label, cells.get("task") or "", cells.get("family") or "", trainer))
    return found


def read_classifiers(
    rows: Sequence[ListedClassifier],
    stated: Stated | None = None,
    *,
    workers: int = 1,
    by_labels: bool = False,
    on_read: Callable[[int], None] = lambda networks: None,
) -> LabelledClassifiers:
    """Read networks, in processes of one thread each where there are many.

    Args:
        rows: at least one.
        stated: of all networks, over what their files say.
        workers: processes, at most.
        by_labels: read fields by the labels of networks instead of statistics.
        on_read: called with how many networks were read since the last call.

    Raises:
        DataError: a file is no packed population though its row says so, or a process was killed.
        CheckpointError, ArchitectureError: a checkpoint that cannot be read, or not as a classifier.
    """
    places = [row.place for row in rows]
    return labelled(rows, statistics_of_places(places, stated, workers=workers, by_labels=by_labels, on_read=on_read))


def labelled(rows: Sequence[ListedClassifier], found: FoundStatistics) -> LabelledClassifiers:
    """Networks of which the statistics are known already."""
    unknown = (math.nan, math.nan)
    return LabelledClassifiers(
        statistics=found.statistics,
        unrun=found.unrun,
        targets=torch.tensor([row.label.target for row in rows], dtype=torch.float64),
        halves=torch.tensor([row.label.halves or unknown for row in rows], dtype=torch.float64),
        runs=tuple(row.label.run for row in rows),
        places=tuple(row.place for row in rows),
        tasks=tuple(row.task for row in rows),
        families=tuple(row.family for row in rows),
        trainers=tuple(row.trainer for row in rows),
        architectures=found.architectures,
    )


@dataclass(frozen=True)
class FoundStatistics:
    """Statistics of networks, those of the same as if it were not known how they are run, and a name for the
    architecture of each."""

    statistics: AnyNetworks
    unrun: AnyNetworks
    architectures: tuple[str, ...]


def statistics_of_places(
    places: Sequence[Place],
    stated: Stated | None = None,
    *,
    workers: int = 1,
    by_labels: bool = False,
    on_read: Callable[[int], None] = lambda networks: None,
) -> FoundStatistics:
    """The statistics of networks, in their order; arguments and errors as of `read_classifiers`."""
    jobs = [tuple(places[start : start + _TOGETHER]) for start in range(0, len(places), _TOGETHER)]
    told = _Told(stated or Stated(), by_labels)
    if workers < 2 or len(places) < _WORTH_PROCESSES:
        parts = [_read(told, job, on_read) for job in jobs]
    else:
        numbered = list(enumerate(jobs))
        by_number: dict[int, FoundStatistics] = {}
        with closing(in_processes(_read_numbered, told, numbered, workers, on_read, killed=KILLED)) as finished:
            for (number, _), found in finished:
                by_number[number] = found
        parts = [by_number[number] for number in range(len(jobs))]
    return FoundStatistics(
        joined_any([part.statistics for part in parts]),
        joined_any([part.unrun for part in parts]),
        tuple(name for part in parts for name in part.architectures),
    )


def architecture_name(network: ReadClassifier) -> str:
    """Equal for networks with the same shapes that are read alike, and for no others."""
    shapes = sorted(tuple(tensor.shape) for tensor in network.tensors.values())
    return hashlib.sha256(repr((shapes, network.reading)).encode()).hexdigest()[:16]


def opened(place: Place) -> Path | Checkpoint:
    """What `read_classifier` reads: a file, or a network of a packed one.

    Raises:
        DataError: there is no such file, or it is not packed though an index is given.
        CheckpointError: a packed file that cannot be read.
    """
    if not os.path.exists(place.path):
        raise DataError(place.path, "no such file, though the labels list it", "restore it or remove its rows")
    if place.index is None:
        return place.path
    held = population_of(place.path)
    if held is None:
        cause = "no whole packed population, though the labels give an index"
        raise DataError(place.path, cause, "copy it again; for single checkpoints leave `index` empty")
    if not 0 <= place.index < held:
        raise DataError(place.path, f"the labels give an index outside 0 ... {held - 1}", "write the labels anew")
    return read_members(place.path, place.index, place.index + 1)[0]


def shapes_differ(rows: Sequence[ListedClassifier]) -> bool:
    """Whether the files that are listed hold tensors of different shapes; none is read further than this takes.

    Raises:
        DataError, CheckpointError: a file that cannot be opened.
    """
    shapes = _shapes(rows)
    first = next(shapes, None)
    return any(other != first for other in shapes)


def _shapes(rows: Sequence[ListedClassifier]) -> Iterator[list[tuple[int, ...]]]:
    for place in {row.place.path: row.place for row in rows}.values():
        found = opened(place)
        checkpoint = found if isinstance(found, Checkpoint) else open_checkpoint(found)
        yield sorted(shapes_of(checkpoint).values())


@dataclass(frozen=True)
class _Told:
    stated: Stated
    by_labels: bool


def _read(told: _Told, places: Sequence[Place], on_read: Callable[[int], None]) -> FoundStatistics:
    if told.by_labels:
        return _read_fields(told.stated, places, on_read)
    tracer, stated = NetworkTracer(), told.stated
    statistics: list[NetworkStatistics] = []
    unrun: list[NetworkStatistics] = []
    names: list[str] = []
    for place in places:
        network = read_classifier(opened(place), stated, tracer)
        found = statistics_of(network)
        statistics.append(found)
        unrun.append((_unrun(stated, place, tracer) if found.runs else None) or found)
        names.append(architecture_name(network))
        on_read(1)
    return FoundStatistics(joined_any(statistics), joined_any(unrun), tuple(names))


def _read_fields(stated: Stated, places: Sequence[Place], on_read: Callable[[int], None]) -> FoundStatistics:
    from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
    from nfn_cli.nn.labelled_nfn.reading import read_fields

    tracer, found = kept_tracer(), []
    for place in places:
        found.append(read_fields(opened(place), stated, tracer))
        on_read(1)
    networks = LabelledNetworks(tuple(found))
    return FoundStatistics(networks, networks, tuple(own.shape.key for own in found))


@lru_cache(maxsize=1)
def kept_tracer() -> NetworkTracer:
    """Keeps the architectures that this process traced last."""
    return NetworkTracer()


def _unrun(stated: Stated, place: Place, tracer: NetworkTracer) -> NetworkStatistics | None:
    """Of a chain as if nothing but its file were known; None of a network that does not read as one."""
    try:
        network = read_classifier(opened(place), replace(stated, chain=True), tracer)
    except ArchitectureError:
        return None
    return statistics_of(replace(network, module=None, picture=None))


def _read_numbered(told: _Told, job: tuple[int, Sequence[Place]], on_read: Callable[[int], None]) -> FoundStatistics:
    return _read(told, job[1], on_read)
