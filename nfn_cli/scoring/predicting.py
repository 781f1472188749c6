"""The second stage of scoring: the networks of a chunk through their heads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

import torch

from nfn_cli.architectures import NetworkWeights, joined
from nfn_cli.errors import CheckpointError, HeadError
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.nn.choose import asked_heads, load_head
from nfn_cli.nn.head import Head
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
from nfn_cli.nn.names import TASKS
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.device import is_missing_operator, say_once
from nfn_cli.scoring.machine import MORE_MEMORY, is_out_of_memory
from nfn_cli.scoring.reading import ReadChunk
from nfn_cli.scoring.rows import Stamp

# What goes through a head at once, in weights, for which a head keeps some thirty channels each.
_LARGEST_BATCH = 1 << 21

_Point: TypeAlias = NetworkWeights | AnyNetworks


@dataclass(frozen=True)
class ScoredChunk(Generic[Row]):
    """The rows of a chunk.

    Attributes:
        rows, stamps: in the order of the sources.
        assumed: how many networks something was assumed of, by what and for which head, because no file states it.
        packed: as in `ReadChunk`.
    """

    rows: list[Row]
    stamps: list[Stamp | None]
    assumed: Counter[tuple[str, str]]
    packed: dict[int, int]


class Predictor(Generic[Row]):
    """The heads of one call: the one that was named, or the shipped ones, each loaded when it is first needed.

    Args:
        named: a head's name or folder, or a loaded one; None for the shipped ones.
        batch_size: networks that go through a head at once, at most.

    Raises:
        HeadError: there is no such head.
    """

    def __init__(
        self, task: RowTask[Row], named: Any, device: str, dtype: str = "float32", batch_size: int = 512
    ) -> None:
        self._task: RowTask[Row] = task
        self._device, self._dtype, self._batch = device, dtype, batch_size
        self._loaded: dict[str, Head] = {}
        if named is None:
            self.accepted = {name: config.accepted for name, config in asked_heads(task).items()}
        else:
            head = load_head(named, device, task=task.name) if isinstance(named, str) else named
            self._loaded[head.name] = head
            self.accepted = {head.name: head.config.accepted}

    def rows(self, chunk: ReadChunk) -> ScoredChunk[Row]:
        """Turn every network of a chunk into its row; those of one architecture go through their head together."""
        return self.rows_of([chunk])[0]

    def rows_of(self, chunks: Sequence[ReadChunk]) -> list[ScoredChunk[Row]]:
        """The same for several chunks, whose networks share batches."""
        found: list[dict[int, Row]] = [
            {position: self._task.failed(chunk.names[position], error) for position, error in chunk.failures.items()}
            for chunk in chunks
        ]
        assumed: list[Counter[tuple[str, str]]] = [Counter() for _ in chunks]
        alike: dict[tuple[object, str], list[tuple[int, int]]] = {}
        for number, chunk in enumerate(chunks):
            for index, group in enumerate(chunk.groups):
                alike.setdefault((group.alike, group.head), []).append((number, index))
                for what, count in group.assumed.items():
                    assumed[number][what, group.head] += count
        for (_, head), members in alike.items():
            groups = [chunks[number].groups[index] for number, index in members]
            owners = [
                (number, position)
                for (number, _), group in zip(members, groups, strict=True)
                for position in group.positions
            ]
            names = [chunks[number].names[position] for number, position in owners]
            point = _joined([group.point() for group in groups])
            for (number, position), row in zip(owners, self._sought(head, names, point), strict=True):
                found[number][position] = row
        return [
            ScoredChunk([rows[position] for position in range(len(chunk.names))], chunk.stamps, counts, chunk.packed)
            for chunk, rows, counts in zip(chunks, found, assumed, strict=True)
        ]

    def _sought(self, name: str, names: Sequence[str], point: _Point) -> list[Row]:
        """Rows of a batch of networks, from the head whose population each is nearest to, or from the first that reads
        them."""
        rows = self._predicted(name, names, point)
        if not TASKS[self._task.name].asks_all or not isinstance(point, NetworkWeights):
            return rows
        others = [own for own, accepted in self.accepted.items() if not accepted.mismatch(point.architecture)]
        for other in others[others.index(name) + 1 :]:
            found = self._predicted(other, names, point)
            rows = [min(pair, key=_distance) for pair in zip(rows, found, strict=True)]
        return rows

    def _predicted(self, name: str, names: Sequence[str], point: _Point) -> list[Row]:
        """Rows of a batch of networks."""
        try:
            if name not in self._loaded:
                self._loaded[name] = load_head(name, self._device, task=self._task.name)
        except HeadError as error:
            return [self._task.failed(own, error) for own in names]
        head = self._loaded[name]
        size = max(1, min(self._batch, _LARGEST_BATCH // _numbers_of_one(point)))
        rows: list[Row] = []
        while len(rows) < len(names):
            start, stop = len(rows), len(rows) + size
            batch = _part(point, start, stop)
            try:
                with torch.autocast(self._device, torch.bfloat16, enabled=self._dtype == "bfloat16"):
                    rows += self._task.rows(head, names[start:stop], head.predict(batch))
            except (MemoryError, RuntimeError, TypeError) as error:
                if is_missing_operator(error, self._device):
                    self._leave_device()
                    continue
                if not is_out_of_memory(error):
                    raise
                if size > 1:
                    size = max(1, size // 4)
                    continue
                cause = "there is too little memory to put it through the head"
                rows.append(self._task.failed(names[start], CheckpointError(names[start], cause, MORE_MEMORY)))
        return rows

    def _leave_device(self) -> None:
        """Compute on the CPU from now on."""
        say_once(f"{self._device} lacks some operators; computing on the CPU")
        self._device = "cpu"
        for head in self._loaded.values():
            head.model.to("cpu")


def _joined(points: Sequence[_Point]) -> _Point:
    """Batches that go through one head, as one."""
    others = [point for point in points if not isinstance(point, NetworkWeights)]
    weights = [point for point in points if isinstance(point, NetworkWeights)]
    return joined_any(others) if others else joined(weights)


def _part(point: _Point, start: int, stop: int) -> _Point:
    """The networks of a batch from one place to another."""
    if not isinstance(point, NetworkWeights):
        return point.select(range(start, min(stop, len(point))))
    return NetworkWeights(point.architecture, {key: tensor[start:stop] for key, tensor in point.tensors.items()})


def _numbers_of_one(point: _Point) -> int:
    """How many numbers a head takes of one network."""
    if isinstance(point, NetworkStatistics):
        return point.layers[0].numel()
    if isinstance(point, LabelledNetworks):
        return max(own.values.numel() for own in point.networks)
    return point.architecture.parameter_count


def _distance(row: Any) -> float:
    return math.inf if row.distance is None else row.distance
