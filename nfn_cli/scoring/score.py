"""Many checkpoints through a head: read, group by architecture, predict in batches, give rows in the order of input."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nfn_cli.architectures import WeightSpace, read_weight_space, stack
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import NfnError
from nfn_cli.nn import Head, choose_head, load_head, shipped_configs
from nfn_cli.scoring.device import resolve_device
from nfn_cli.scoring.rows import ScoreRow

# Networks held in memory at once.
_CHUNK = 512
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
        HeadError, UsageError: no such head or device. Both come before the first row.
    """
    heads = _Heads(head, resolve_device(device))
    return _rows(heads, paths, activation, on_row, on_note)


@dataclass(frozen=True)
class _Read:
    """A network, the head that will read it, and the activation if it was assumed."""

    point: WeightSpace
    head: str
    assumed: str | None


class _Heads:
    """The heads of one call: the one that was named, or the shipped ones, each loaded when first needed."""

    def __init__(self, named: str | None, device: str) -> None:
        self.device = device
        self.loaded: dict[str, Head] = {}
        if named is None:
            self.configs = shipped_configs()
        else:
            head = load_head(named, device)
            self.loaded[head.name] = head
            self.configs = {head.name: head.config}

    def get(self, name: str) -> Head:
        if name not in self.loaded:
            self.loaded[name] = load_head(name, self.device)
        return self.loaded[name]


def _rows(
    heads: _Heads,
    paths: Sequence[Path],
    activation: str | None,
    on_row: Callable[[], None],
    on_note: Callable[[str], None],
) -> Iterator[ScoreRow]:
    assumptions: Counter[tuple[str, str]] = Counter()
    remaining = iter(paths)
    while chunk := list(islice(remaining, _CHUNK)):
        results: list[_Read | ScoreRow] = []
        for path in chunk:
            result = _read(heads, path, activation)
            if isinstance(result, _Read) and result.assumed:
                assumptions[result.assumed, result.head] += 1
            results.append(result)
            on_row()
        yield from _predict(heads, chunk, results)
    for (assumed, head), count in sorted(assumptions.items()):
        files = "1 file that does" if count == 1 else f"{count} files that do"
        on_note(f"activation {assumed} assumed, as head {head} reads it, for {files} not tell; see --activation")


def _read(heads: _Heads, path: Path, activation: str | None) -> _Read | ScoreRow:
    try:
        network = read_weight_space(read_checkpoint(path), activation=activation, default_activation=_PLACEHOLDER)
        assumed = network.activation.source == "assumed"
        point = network.weight_space
        head, architecture = choose_head(point.architecture, heads.configs, assume_activation=assumed)
    except NfnError as error:
        return ScoreRow(str(path), error=str(error))
    point = WeightSpace(architecture, point.tensors)
    return _Read(point, head, architecture.activation if assumed else None)


def _predict(heads: _Heads, paths: Sequence[Path], results: Sequence[_Read | ScoreRow]) -> Iterator[ScoreRow]:
    """Turn every network into its row; those of one architecture go through their head together."""
    rows = [result if isinstance(result, ScoreRow) else None for result in results]
    batches: defaultdict[tuple[object, str], list[int]] = defaultdict(list)
    for position, result in enumerate(results):
        if isinstance(result, _Read):
            batches[result.point.architecture.signature, result.head].append(position)
    for (_, name), positions in batches.items():
        point = stack([result.point for i in positions if isinstance(result := results[i], _Read)])
        predictions = heads.get(name).predict(point)
        columns = (predictions.accuracy, predictions.low, predictions.high, predictions.in_population)
        for position, accuracy, low, high, known in zip(
            positions, *(column.tolist() for column in columns), strict=True
        ):
            rows[position] = ScoreRow(str(paths[position]), accuracy, low, high, name, known)
    return (row for row in rows if row is not None)
