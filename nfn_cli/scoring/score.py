"""Many checkpoints through a head: read, group by architecture, predict in batches, give rows in the order of input."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nfn_cli.architectures import WeightSpace, canonical_activation, read_weight_space, stack
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import ArchitectureError, HeadError, NfnError, UsageError
from nfn_cli.nn import choose_head
from nfn_cli.scoring.device import resolve_device
from nfn_cli.scoring.rows import ClassRow, ScoreRow
from nfn_cli.scoring.tasks import AccuracyTask, ClassTask, Row, Task

# What is held in memory at once, in networks and in weights; what goes through a head at once, in weights, for which a
# head keeps some thirty channels each.
_MOST_NETWORKS = 512
_MOST_WEIGHTS = 1 << 25
_LARGEST_BATCH = 1 << 21
# Stands in for an unknown activation until the head that reads the layers decides it.
_PLACEHOLDER = "identity"


def score(
    paths: Sequence[Path],
    *,
    head: str | None = None,
    device: str = "auto",
    activation: str | None = None,
    on_row: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Iterator[ScoreRow]:
    """Predict the accuracy of the network in each file.

    Args:
        paths: checkpoint files.
        head: a shipped head's name or a head's folder; without it, each network is read by the shipped head that fits.
        device: auto, cpu, cuda or mps.
        activation: of all networks, over what their files say.
        on_row: called once a file, when it has been read.
        on_note: told every assumption made, after the last row.

    Yields:
        One row a path, in their order; a file that cannot be scored becomes a row with its error.

    Raises:
        HeadError, UsageError: no such head, device or activation. All come before the first row.
    """
    return _scored(AccuracyTask(), paths, head, device, activation, on_row, on_note)


def classify(
    paths: Sequence[Path],
    *,
    head: str | None = None,
    top: int = 3,
    device: str = "auto",
    activation: str | None = None,
    on_row: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Iterator[ClassRow]:
    """Classify the implicit neural representation in each file.

    Args:
        top: number of classes that a row tells the probability of.

    Everything else is as in `score`.
    """
    return _scored(ClassTask(top), paths, head, device, activation, on_row, on_note)


def _scored(
    task: Task[Row],
    paths: Sequence[Path],
    head: str | None,
    device: str,
    activation: str | None,
    on_row: Callable[[], None],
    on_note: Callable[[str], None],
) -> Iterator[Row]:
    if activation is not None:
        try:
            activation = canonical_activation(activation, f"--activation {activation}")
        except ArchitectureError as error:
            raise UsageError(error.subject, error.cause, error.remedy) from error
    heads = _Heads(task, head, resolve_device(device))
    return _rows(task, heads, paths, activation, on_row, on_note)


@dataclass(frozen=True)
class _Read:
    """A network, the head that will read it, and the activation if it was assumed."""

    point: WeightSpace
    head: str
    assumed: str | None


class _Heads:
    """The heads of one call: the one that was named, or the shipped ones, each loaded when first needed."""

    def __init__(self, task: Task[Any], named: str | None, device: str) -> None:
        self._task, self._device = task, device
        self._loaded: dict[str, Any] = {}
        if named is None:
            self.configs = task.configs()
        else:
            head = task.load(named, device)
            self._loaded[head.name] = head
            self.configs = {head.name: head.config}

    def get(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._task.load(name, self._device)
        return self._loaded[name]


def _rows(
    task: Task[Row],
    heads: _Heads,
    paths: Sequence[Path],
    activation: str | None,
    on_row: Callable[[], None],
    on_note: Callable[[str], None],
) -> Iterator[Row]:
    assumptions: Counter[tuple[str, str]] = Counter()
    chunk: list[Path] = []
    results: list[_Read | NfnError] = []
    weights = 0
    for path in paths:
        result = _read(heads, path, activation)
        if isinstance(result, _Read):
            weights += result.point.architecture.parameter_count
            if result.assumed:
                assumptions[result.assumed, result.head] += 1
        chunk.append(path)
        results.append(result)
        on_row()
        if len(chunk) == _MOST_NETWORKS or weights >= _MOST_WEIGHTS:
            yield from _predict(task, heads, chunk, results)
            chunk, results, weights = [], [], 0
    yield from _predict(task, heads, chunk, results)
    for (assumed, head), count in sorted(assumptions.items()):
        files = "1 file that does" if count == 1 else f"{count} files that do"
        on_note(f"activation {assumed} assumed, as head {head} reads it, for {files} not tell; see --activation")


def _read(heads: _Heads, path: Path, activation: str | None) -> _Read | NfnError:
    try:
        network = read_weight_space(read_checkpoint(path), activation=activation, default_activation=_PLACEHOLDER)
        assumed = network.activation.source == "assumed"
        point = network.weight_space
        head, architecture = choose_head(point.architecture, heads.configs, assume_activation=assumed)
    except NfnError as error:
        return error
    point = WeightSpace(architecture, point.tensors)
    return _Read(point, head, architecture.activation if assumed else None)


def _predict(task: Task[Row], heads: _Heads, paths: Sequence[Path], results: Sequence[_Read | NfnError]) -> list[Row]:
    """Turn every network into its row; those of one architecture go through their head together."""
    rows: dict[int, Row] = {}
    alike: defaultdict[tuple[object, str], list[int]] = defaultdict(list)
    for position, result in enumerate(results):
        if isinstance(result, _Read):
            alike[result.point.architecture.signature, result.head].append(position)
        else:
            rows[position] = task.failed(paths[position], result)
    for (_, name), positions in alike.items():
        points = [result.point for i in positions if isinstance(result := results[i], _Read)]
        predicted = _predict_alike(task, heads, name, [paths[position] for position in positions], points)
        rows.update(zip(positions, predicted, strict=True))
    return [rows[position] for position in range(len(results))]


def _predict_alike(
    task: Task[Row], heads: _Heads, name: str, paths: Sequence[Path], points: Sequence[WeightSpace]
) -> list[Row]:
    """Rows of networks of one architecture."""
    try:
        head = heads.get(name)
    except HeadError as error:
        return [task.failed(path, error) for path in paths]
    size = max(1, _LARGEST_BATCH // points[0].architecture.parameter_count)
    rows: list[Row] = []
    for start in range(0, len(points), size):
        rows += task.rows(head, paths[start : start + size], stack(points[start : start + size]))
    return rows
