"""What commands that put checkpoints through a head do differently: which heads there are, and what a row says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nfn_cli.architectures import WeightSpace
from nfn_cli.errors import CheckpointError, NfnError
from nfn_cli.nn import Head, Reads, load_classifier, load_head, shipped_classifiers, shipped_configs
from nfn_cli.nn.inr import Classifier
from nfn_cli.scoring.rows import ClassRow, ScoreRow

Row = TypeVar("Row", ScoreRow, ClassRow)


class Task(Protocol[Row]):
    """One command's part of scoring."""

    def configs(self) -> Mapping[str, Reads]:
        """The shipped heads, the one to prefer first."""

    def load(self, name: str, device: str) -> Any:
        """A shipped head by name, or any by folder; it has a `name` and a `config`.

        Raises:
            HeadError: there is none, or it is for something else.
        """

    def rows(self, head: Any, paths: Sequence[Path], point: WeightSpace) -> list[Row]:
        """One row a network of a batch [len(paths), *shape]."""

    def failed(self, path: Path, error: NfnError) -> Row:
        """The row of a file that could not be scored."""


class AccuracyTask:
    """`nfn predict-accuracy`."""

    def configs(self) -> Mapping[str, Reads]:
        """See `Task`."""
        return shipped_configs()

    def load(self, name: str, device: str) -> Head:
        """See `Task`."""
        return load_head(name, device)

    def rows(self, head: Head, paths: Sequence[Path], point: WeightSpace) -> list[ScoreRow]:
        """See `Task`."""
        predictions = head.predict(point)
        columns = (predictions.accuracy, predictions.low, predictions.high, predictions.in_population)
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ScoreRow(str(path), accuracy, low, high, head.name, known)
            if math.isfinite(accuracy)
            else self.failed(path, _too_large(path))
            for path, (accuracy, low, high, known) in zip(paths, values, strict=True)
        ]

    def failed(self, path: Path, error: NfnError) -> ScoreRow:
        """See `Task`."""
        return ScoreRow(str(path), error=error_line(path, error))


class ClassTask:
    """`nfn classify-inr`.

    Args:
        top: number of classes that a row tells the probability of.
    """

    def __init__(self, top: int) -> None:
        self._top = top

    def configs(self) -> Mapping[str, Reads]:
        """See `Task`."""
        return shipped_classifiers()

    def load(self, name: str, device: str) -> Classifier:
        """See `Task`."""
        return load_classifier(name, device)

    def rows(self, head: Classifier, paths: Sequence[Path], point: WeightSpace) -> list[ClassRow]:
        """See `Task`."""
        found = head.classify(point)
        names = head.config.classes
        best, places = found.probabilities.nan_to_num(-1.0).topk(min(self._top, len(names)))
        values = zip(best.tolist(), places.tolist(), found.entropy.tolist(), strict=True)
        return [
            ClassRow(
                path=str(path),
                label=names[where[0]],
                probability=shares[0],
                entropy=entropy,
                probabilities={names[place]: round(share, 6) for place, share in zip(where, shares, strict=True)},
                head=head.name,
            )
            if math.isfinite(entropy)
            else self.failed(path, _too_large(path))
            for path, (shares, where, entropy) in zip(paths, values, strict=True)
        ]

    def failed(self, path: Path, error: NfnError) -> ClassRow:
        """See `Task`."""
        return ClassRow(str(path), error=error_line(path, error))


def error_line(path: Path, error: NfnError) -> str:
    """One line that begins with the file, whatever the error is about."""
    if error.subject.startswith(str(path)):
        return str(error)
    return " ".join(f"{path}: {error}".split())


def _too_large(path: Path) -> CheckpointError:
    cause = "the weights are too large for the head, which computes in float32"
    return CheckpointError(path, cause, "check that the network works")
