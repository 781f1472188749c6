"""What the file of a checkpoint format offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.checkpoints.tensor_map import Place
from nfn_cli.errors import CheckpointError

# A map of a file that somebody cuts short ends the process. What is read in no time is not mapped: it gains nothing.
MAPPED_FROM = 1 << 26  # bytes
# A tensor as it was read, and the rows of the new one in parts.
Change = tuple[Tensor, Iterable[Tensor]]


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Attributes:
        tensors: by their names in the file and in its order.
        facts: the known facts about the network (`find_state_dict.FACTS`).
        ties: pairs of names that the file says are one tensor; the second may be missing among `tensors`.
        places: where the entries of each tensor are in the file, if that was asked for; a tensor that cannot be read by
            itself stands for its place, and so does each tensor where this is empty.
        no_state_dict: why the tensors are those of the whole file, under the dotted names of their places in it; None
            where they are one state dict.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Fact] = field(default_factory=dict)
    ties: list[tuple[str, str]] = field(default_factory=list)
    places: Mapping[str, Place | Tensor] = field(default_factory=dict)
    no_state_dict: CheckpointError | None = None


class Changes(Protocol):
    """Says which tensors of a file change, and to what."""

    def __call__(self, in_file: Mapping[str, object], *, by_tensor: bool = False) -> Mapping[str, Change]:
        """
        Args:
            in_file: the names of all tensors of the file, in its order.
            by_tensor: whether the other tensors are written one by one too, so that those that nobody has read may be
                checked as they are written; else they are read and checked before.

        Returns:
            The new tensors by their names in the file, in its order. Each is to be asked for once.
        """


class Reader(Protocol):
    """The functions of a format's module."""

    def read(self, path: Path, entry: str | None, *, placed: bool) -> Contents:
        """The state dict in a file.

        Args:
            entry: where it is, for a format with `entries`; None for the only one.
            placed: give the places of the tensors, so that the file need not be read now.

        Raises:
            CheckpointError: the file is damaged, or holds no state dict.
        """

    def read_all(self, path: Path) -> Contents:
        """The state dict, or, where there is none, every tensor in a file. They may be of any kind and size.

        Raises:
            CheckpointError: the file is damaged.
        """

    def rewrite(
        self, source: Path, entry: str | None, changes: Changes, out: Path, *, overwrite: bool
    ) -> tuple[str, ...]:
        """Write a file back with other numbers; not there for a format that is not `rewritten`.

        Args:
            source: a file that `read` has read.
            entry: as it was read.
            changes: gives the new numbers.
            out: the new file, which is whole or not there.
            overwrite: replace a file that is there.

        Returns:
            Printable names of the other entries that hold tensors, which are written as they were.

        Raises:
            CheckpointError: the file exists (without `overwrite`), cannot be written, or `source` has changed.
        """
