"""A file's names and shapes as a tree of modules."""

from __future__ import annotations

from functools import cached_property

from nfn_cli.architectures.families.family import Shapes
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.errors import shown

# Deeper or longer names belong to no family; what they would cost grows with the square of their length.
_DEEPEST, _LONGEST = 24, 400


class Scope:
    """The tensors under one module, by their names within it.

    >>> scope = Scope({"layer1.0.conv1.weight": (8, 3, 3, 3), "layer1.1.conv1.weight": (8, 8, 3, 3)})
    >>> scope["layer1"].count(), scope["layer1"]["1"].shape("conv1.weight", 4), scope.has("layer2")
    (2, (8, 8, 3, 3), False)
    """

    def __init__(self, shapes: Shapes, prefix: str = "", root: Scope | None = None) -> None:
        self.shapes, self._prefix = shapes, prefix
        self._root = self if root is None else root

    def __getitem__(self, name: str) -> Scope:
        """What is under the submodule `name`, maybe nothing."""
        return Scope(self.shapes, f"{self._prefix}{name}.", self._root)

    def __contains__(self, name: object) -> bool:
        """Whether there is a tensor of this name."""
        return f"{self._prefix}{name}" in self.shapes

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name, or under it."""
        return name in self or f"{self._prefix}{name}." in self._root._tree

    def children(self) -> tuple[str, ...]:
        """The names of the submodules and tensors directly here, in the file's order."""
        return tuple(self._root._tree.get(self._prefix, ()))

    def count(self, first: int = 0, prefix: str = "") -> int:
        """How many submodules are numbered on from `first`, with `prefix` before the number."""
        number = first
        while self.has(f"{prefix}{number}"):
            number += 1
        return number - first

    @cached_property
    def _tree(self) -> dict[str, dict[str, None]]:
        """By prefix, with the dot at its end, what comes directly behind it. Made once, for the root."""
        tree: dict[str, dict[str, None]] = {}
        for name in self.shapes:
            parts = name.split(".", _DEEPEST)
            if len(name) > _LONGEST or len(parts) > _DEEPEST:
                continue
            prefix = ""
            for part in parts:
                tree.setdefault(prefix, {})[part] = None
                prefix = f"{prefix}{part}."
        return tree

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Of a tensor here.

        Raises:
            Refusal: there is none, or it is not of `rank` axes of at least one entry.
        """
        full = f"{self._prefix}{name}"
        if full not in self.shapes:
            raise Refusal(f"the file has no {full}")
        shape = tuple(self.shapes[full])
        if len(shape) != rank or min(shape, default=1) < 1:
            raise Refusal(f"{full} is {shown(list(shape))}, not a tensor of {rank} axes")
        return shape

    def size(self, name: str, axis: int = 0, rank: int = 4) -> int:
        """Of one axis of a tensor here; raises as `shape`."""
        return self.shape(name, rank)[axis]

    def name(self, name: str) -> str:
        """The whole name of what is called `name` here."""
        return f"{self._prefix}{name}"
