"""What is known of one file of a published set before it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nfn_cli.errors import DataError
from nfn_cli.zoo.inr.labels import MOST_CLASSES
from nfn_cli.zoo.inr.published.layouts import Layout

# In the order of CIFAR-10's own numbers.
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class PublishedInr:
    """One network's file.

    Attributes:
        split: "train" or "test".
        number: of the picture, unique within its split; None where it is not known.
        fit: which of several fits to the picture.
        label: the picture's class, as published.
    """

    path: Path
    split: str
    number: int | None
    fit: int
    label: str

    @property
    def picture(self) -> str:
        """Equal for fits to one picture."""
        return str(self.path) if self.number is None else f"{self.split} {self.number}"


@dataclass(frozen=True)
class PublishedSet:
    """The files of a set, and why some were left out, one line each."""

    layout: Layout
    data: str
    inrs: tuple[PublishedInr, ...]
    skipped: tuple[str, ...] = ()


def without_doubtful_numbers(inrs: Sequence[PublishedInr]) -> list[PublishedInr]:
    """The same, without numbers where two pictures share one: some sets number each class by itself."""
    seen = Counter((inr.split, inr.number, inr.fit) for inr in inrs if inr.number is not None)
    if max(seen.values(), default=1) == 1:
        return list(inrs)
    return [replace(inr, number=None) for inr in inrs]


def class_numbers(labels: Collection[str], subject: Path) -> dict[str, int]:
    """Classes by their published labels: numbers stand for themselves, names for their position in the alphabet.

    Args:
        subject: where the labels are from.

    Raises:
        DataError: some are numbers and some are names, or a number is too large for a class.

    >>> class_numbers({"ship", "cat"}, Path("cifar10"))["ship"]  # of CIFAR-10
    8
    """
    numbered = {label for label in labels if label.isascii() and label.isdecimal()}
    odd = numbered ^ set(labels) if numbered else set()
    odd |= {label for label in numbered if len(label) > 9 or int(label) >= MOST_CLASSES}
    if odd:
        raise DataError(subject, f"has a label {min(odd)} that is no class", f"labels are 0 to {MOST_CLASSES - 1:,}")
    if numbered:
        return {label: int(label) for label in numbered}
    names = _CIFAR10 if set(labels) <= set(_CIFAR10) else sorted(labels)
    return {name: number for number, name in enumerate(names) if name in labels}
