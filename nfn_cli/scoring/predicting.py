"""The second stage of scoring: the networks of a chunk through their heads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import CheckpointError, HeadError
from nfn_cli.nn.choose import asked_heads, load_head
from nfn_cli.nn.head import Head
from nfn_cli.nn.names import TASKS
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.device import is_missing_operator, tell_once
from nfn_cli.scoring.machine import MORE_MEMORY, is_out_of_memory
from nfn_cli.scoring.reading import ReadChunk, joined
from nfn_cli.scoring.rows import Stamp

# What goes through a head at once, in weights, for which a head keeps some thirty channels each.
_LARGEST_BATCH = 1 << 21


@dataclass(frozen=True)
class ScoredChunk(Generic[Row]):
    """The rows of a chunk.

    Attributes:
        rows, stamps: in the order of the sources.
        assumed: how many networks something was assumed of, by what and for which head, because nothing tells it.
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
            {place: self._task.failed(chunk.names[place], error) for place, error in chunk.failures.items()}
            for chunk in chunks
        ]
        assumed: list[Counter[tuple[str, str]]] = [Counter() for _ in chunks]
        alike: dict[tuple[object, str], list[tuple[int, int]]] = {}
        for number, chunk in enumerate(chunks):
            for position, group in enumerate(chunk.groups):
                alike.setdefault((group.architecture.signature, group.head), []).append((number, position))
                for what, count in group.assumed.items():
                    assumed[number][what, group.head] += count
        for (_, head), members in alike.items():
            groups = [chunks[number].groups[position] for number, position in members]
            owners = [
                (number, place) for (number, _), group in zip(members, groups, strict=True) for place in group.places
            ]
            names = [chunks[number].names[place] for number, place in owners]
            point = joined([group.point() for group in groups])
            for (number, place), row in zip(owners, self._sought(head, names, point), strict=True):
                found[number][place] = row
        return [
            ScoredChunk([rows[place] for place in range(len(chunk.names))], chunk.stamps, counts, chunk.packed)
            for chunk, rows, counts in zip(chunks, found, assumed, strict=True)
        ]

    def _sought(self, name: str, names: Sequence[str], point: NetworkWeights) -> list[Row]:
        """Rows of networks of one architecture, from the head whose population each is nearest to, or from the first
        that reads them."""
        rows = self._predicted(name, names, point)
        if not TASKS[self._task.name].asks_all:
            return rows
        others = [own for own, accepted in self.accepted.items() if not accepted.mismatch(point.architecture)]
        for other in others[others.index(name) + 1 :]:
            found = self._predicted(other, names, point)
            rows = [min(pair, key=_distance) for pair in zip(rows, found, strict=True)]
        return rows

    def _predicted(self, name: str, names: Sequence[str], point: NetworkWeights) -> list[Row]:
        """Rows of networks of one architecture."""
        try:
            if name not in self._loaded:
                self._loaded[name] = load_head(name, self._device, task=self._task.name)
        except HeadError as error:
            return [self._task.failed(own, error) for own in names]
        head = self._loaded[name]
        size = max(1, min(self._batch, _LARGEST_BATCH // point.architecture.parameter_count))
        rows: list[Row] = []
        while len(rows) < len(names):
            start, stop = len(rows), len(rows) + size
            part = {key: tensor[start:stop] for key, tensor in point.tensors.items()}
            batch = NetworkWeights(point.architecture, part)
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
        tell_once(f"{self._device} lacks some operators; computing on the CPU")
        self._device = "cpu"
        for head in self._loaded.values():
            head.model.to("cpu")


def _distance(row: Any) -> float:
    return math.inf if row.distance is None else row.distance
