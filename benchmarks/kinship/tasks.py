"""What networks are trained on: pictures of classes, and the text of Python's standard library.

Every network of one recipe meets the same batches in the same order; only its first weights are its own.
"""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.zoo import load_images

CHARACTERS = 128  # bytes above are written as "?"
CONTEXT = 64
_SMALL_ENOUGH = 16  # pictures with a longer side are halved for convolutions


@dataclass(frozen=True)
class Pictures:
    """Pictures [count, channels, height, width], standardised, and their classes [count]."""

    pictures: Tensor
    labels: Tensor
    classes: int

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and answers of a training step."""
        chosen = torch.randint(len(self.labels), (size,), generator=generator)
        return self.pictures[chosen], self.labels[chosen]

    def halved(self) -> Pictures:
        """The same at half the side, for convolutional networks; small ones as they are."""
        if self.pictures.shape[-1] <= _SMALL_ENOUGH:
            return self
        return replace(self, pictures=F.avg_pool2d(self.pictures, 2))

    def of(self, classes: range) -> Pictures:
        """The pictures of some classes alone."""
        kept = (self.labels >= classes.start) & (self.labels < classes.stop)
        return replace(self, pictures=self.pictures[kept], labels=self.labels[kept])


@dataclass(frozen=True)
class Text:
    """Characters [count], int64, each less than `CHARACTERS`."""

    characters: Tensor

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Passages [size, CONTEXT] and the same moved on by one character."""
        starts = torch.randint(len(self.characters) - CONTEXT, (size, 1), generator=generator)
        passages = self.characters[starts + torch.arange(CONTEXT + 1)]
        return passages[:, :-1], passages[:, 1:]


@dataclass(frozen=True)
class Split:
    """A task in three parts: for bases, for fine-tunes, held out."""

    first: Pictures | Text
    second: Pictures | Text
    held_out: Pictures | Text


def pictures(source: str) -> Split:
    """A set of pictures, by a path or name that `nfn zoo cnn --data` knows; its training part is halved."""
    found = load_images(source)
    middle = len(found.train_labels) // 2
    centre, spread = found.train_images.mean(), found.train_images.std()
    parts = (
        (found.train_images[:middle], found.train_labels[:middle]),
        (found.train_images[middle:], found.train_labels[middle:]),
        (found.test_images[:2000], found.test_labels[:2000]),
    )
    return Split(*(Pictures((x - centre) / spread, y, found.classes) for x, y in parts))


def text(folder: Path | None = None) -> Split:
    """Sources of the standard library: modules for bases, those in packages for fine-tunes; each tenth is held out.

    Args:
        folder: of sources, in place of the running Python's library.
    """
    library = folder or Path(sysconfig.get_path("stdlib"))
    modules = sorted(library.glob("*.py"))
    packages = sorted(path for path in library.glob("[a-z]*/*.py") if path.parent.name not in _OTHER_PEOPLES)
    kept = [path for number, path in enumerate(modules) if number % 10]
    held_out = [path for number, path in enumerate(modules) if not number % 10]
    return Split(*(Text(_characters(paths)) for paths in (kept, packages, held_out)))


_OTHER_PEOPLES = {"site-packages", "dist-packages", "test", "encodings", "pydoc_data"}  # or tables, not programs


def _characters(paths: list[Path]) -> Tensor:
    joined = b"\n".join(path.read_bytes() for path in paths)
    found = torch.frombuffer(bytearray(joined), dtype=torch.uint8).long()
    return found.where(found < CHARACTERS, torch.tensor(ord("?")))
