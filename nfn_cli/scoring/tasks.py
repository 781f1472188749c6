"""What commands that put checkpoints through a head do differently: which heads there are, and what a row says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import CheckpointError, NfnError
from nfn_cli.nn import Head, Reads, load_head, shipped_configs
from nfn_cli.phrases import escaped
from nfn_cli.scoring.rows import ClassRow, ScoreRow

if TYPE_CHECKING:  # what predicts accuracies starts sooner without
    from nfn_cli.nn.inr.classifier import Classifier, ClassifierConfig

Row = TypeVar("Row", ScoreRow, ClassRow)


class Task(Protocol[Row]):
    """One command's part of scoring.

    Attributes:
        seeks: whether a network is shown to all heads that read it, where the user has named none, and the one whose
            population it is nearest to is asked; rows have a `distance` then.
        fitted_by: the command that fits heads for it.
    """

    seeks: bool
    fitted_by: str

    def configs(self) -> Mapping[str, Reads]:
        """The shipped heads, the one to prefer first."""

    def options(self) -> Mapping[str, str]:
        """The command's own options that change its rows, by name."""

    def load(self, name: str, device: str) -> Any:
        """A shipped head by name, or any by folder; it has a `name` and a `config`.

        Raises:
            HeadError: there is none, or it is for something else.
        """

    def rows(self, head: Any, names: Sequence[str], point: NetworkWeights) -> list[Row]:
        """One row a network of a batch [len(names), *shape]."""

    def failed(self, name: str, error: NfnError) -> Row:
        """The row of a file that could not be scored."""


class AccuracyTask:
    """`nfn predict-accuracy`."""

    # Heads of one architecture know one population.
    seeks = False
    fitted_by = "nfn train"

    def configs(self) -> Mapping[str, Reads]:
        """See `Task`."""
        return shipped_configs()

    def options(self) -> Mapping[str, str]:
        """See `Task`."""
        return {}

    def load(self, name: str, device: str) -> Head:
        """See `Task`."""
        return load_head(name, device)

    def rows(self, head: Head, names: Sequence[str], point: NetworkWeights) -> list[ScoreRow]:
        """See `Task`."""
        predictions = head.predict(point)
        columns = (predictions.accuracy, predictions.low, predictions.high, predictions.in_distribution)
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ScoreRow(name, accuracy, low, high, head.name, known)
            if math.isfinite(accuracy)
            else self.failed(name, _too_large(name))
            for name, (accuracy, low, high, known) in zip(names, values, strict=True)
        ]

    def failed(self, name: str, error: NfnError) -> ScoreRow:
        """See `Task`."""
        return ScoreRow(name, error=error_line(name, error))


class ClassTask:
    """`nfn classify-inr`.

    Args:
        top: number of classes that a row tells the probability of.
    """

    # A picture of a digit and one of a ship are of one architecture.
    seeks = True
    fitted_by = "nfn train-inr"

    def __init__(self, top: int) -> None:
        self._top = top

    def configs(self) -> Mapping[str, Reads]:
        """See `Task`.

        Of heads that tell the same classes of the same networks only the best is here: how near a network is to their
        populations does not tell which of them is right.
        """
        from nfn_cli.nn.inr.choose_classifier import shipped_classifiers

        best: dict[str, ClassifierConfig] = {}
        for name, config in shipped_classifiers().items():
            if not any((own.classes, own.accepted) == (config.classes, config.accepted) for own in best.values()):
                best[name] = config
        return best

    def options(self) -> Mapping[str, str]:
        """See `Task`."""
        return {"top": str(self._top)}

    def load(self, name: str, device: str) -> Classifier:
        """See `Task`."""
        from nfn_cli.nn.inr.choose_classifier import load_classifier

        return load_classifier(name, device)

    def rows(self, head: Classifier, names: Sequence[str], point: NetworkWeights) -> list[ClassRow]:
        """See `Task`."""
        found = head.classify(point)
        classes = head.config.classes
        best, places = found.probabilities.nan_to_num(-1.0).topk(min(self._top, len(classes)))
        columns = (best, places, found.entropy, found.in_distribution, found.distance)
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ClassRow(
                path=name,
                label=classes[where[0]],
                probability=shares[0],
                entropy=entropy,
                probabilities={classes[place]: round(share, 6) for place, share in zip(where, shares, strict=True)},
                head=head.name,
                in_distribution=known,
                distance=distance,
            )
            if math.isfinite(entropy)
            else self.failed(name, _too_large(name))
            for name, (shares, where, entropy, known, distance) in zip(names, values, strict=True)
        ]

    def failed(self, name: str, error: NfnError) -> ClassRow:
        """See `Task`."""
        return ClassRow(name, error=error_line(name, error))


def error_line(name: str, error: NfnError) -> str:
    """One line that begins with the row's name, whatever the error is about.

    >>> error_line("zoo.safetensors#3", CheckpointError("zoo.safetensors", "it is damaged", "copy it again"))
    'zoo.safetensors#3: it is damaged; copy it again'
    """
    if error.subject.startswith(name):
        return str(error)
    if name.startswith(f"{error.subject}#"):
        return str(type(error)(name, error.cause, error.remedy))
    return escaped(f"{name}: {error}")


def _too_large(name: str) -> CheckpointError:
    cause = "the weights are too large for the head, which computes in float32"
    return CheckpointError(name, cause, "check that the network works")
