"""The pictures that networks are asked about: 50 training images of each class of MNIST and of CIFAR-10.

MNIST is by LeCun, Cortes and Burges (CC BY-SA 3.0), CIFAR-10 by Krizhevsky (2009, *Learning multiple layers of features
from tiny images*).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

_FILE = "probe_pictures.safetensors"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


@dataclass(frozen=True)
class ProbePictures:
    """Pictures of one source.

    Attributes:
        name: of the source.
        pictures: float32 [count, channels, height, width] in [-1, 1].
        labels: int64 [count], from 0 on.
    """

    name: str
    pictures: Tensor
    labels: Tensor

    @property
    def classes(self) -> int:
        """How many."""
        return int(self.labels.max()) + 1

    def shaped(self, channels: int, height: int, width: int) -> Tensor:
        """The pictures [count, channels, height, width]: gray ones repeat in every channel, coloured ones turn gray."""
        own = self.pictures
        if channels != own.shape[1]:
            gray = own if own.shape[1] == 1 else torch.einsum("nchw,c->nhw", own, torch.tensor(_LUMA))[:, None]
            own = gray.expand(-1, channels, -1, -1)
        if own.shape[2:] == (height, width):
            return own.contiguous()
        return F.interpolate(own, (height, width), mode="bilinear", antialias=True, align_corners=False)


@lru_cache(maxsize=1)
def probe_pictures() -> tuple[ProbePictures, ...]:
    """The stored pictures: digits (MNIST) and things (CIFAR-10)."""
    with as_file(files(__package__) / _FILE) as path:
        stored = load_file(path)
    return tuple(
        ProbePictures(name, stored[f"{name}.pictures"].float() / 127.5 - 1, stored[f"{name}.labels"])
        for name in ("digits", "things")
    )


@lru_cache(maxsize=8)
def shaped_pictures(channels: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Those of every source in one shape."""
    return tuple(own.shaped(channels, height, width) for own in probe_pictures())
