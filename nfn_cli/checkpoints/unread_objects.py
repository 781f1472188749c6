"""What stands for the objects of a PyTorch file that nfn does not make."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

_KIND = "nfn_kind"


class NotSaved:
    """What stands for something else while a file is read, and must never be written in its place."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be saved")


class Husk(NotSaved):
    """In place of a class, a function or an instance: it keeps nothing of what the file gives it, and runs nothing.

    Attributes:
        name: of the class or function, as in the file.
        array: whether it stands for a NumPy array.
        held: whether it was given tensors, which are lost in it.
    """

    __slots__ = ("array", "held", "name")

    def __init__(self, name: str, *, held: bool = False) -> None:
        self.name = name
        self.array = name.startswith("numpy.") and name.endswith("._reconstruct")
        self.held = held


def unread(kind: str) -> Tensor:
    """In place of a tensor of a kind that holds no dense weights."""
    stand_in = torch.empty((1, 1), device="meta")
    setattr(stand_in, _KIND, kind)
    return stand_in


def unread_kind(tensor: Tensor) -> str | None:
    """What an `unread` tensor was; None for a tensor."""
    return getattr(tensor, _KIND, None) if tensor.is_meta else None
