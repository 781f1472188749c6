"""The containers in the names of layers.

>>> scopes = Scopes(["net.0", "net.2", "net.4", "out"])
>>> scopes.containers, scopes.sealed(0), scopes.sealed(2)
({('net',): (0, 1, 2)}, True, False)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

Path = tuple[str, ...]


class Scopes:
    """The layers of a network as the leaves of a tree of containers, by their dotted names.

    Attributes:
        paths: of each layer, without what all names begin with.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.paths = [tuple(name.split(".")) for name in names]
        while len(self.paths) > 1 and all(len(path) > 1 for path in self.paths) and self._agree():
            self.paths = [path[1:] for path in self.paths]

    def _agree(self) -> bool:
        return len({path[0] for path in self.paths}) == 1

    @cached_property
    def containers(self) -> dict[Path, tuple[int, ...]]:
        """The layers in each container of two or more, but for those that hold all layers."""
        found: dict[Path, list[int]] = {}
        for layer, path in enumerate(self.paths):
            for depth in range(1, len(path)):
                found.setdefault(path[:depth], []).append(layer)
        return {path: tuple(own) for path, own in found.items() if 1 < len(own) < len(self.paths)}

    def units(self, left: int, right: int) -> tuple[Path, Path]:
        """The two members that hold two layers, of the innermost container that holds both."""
        one, other = self.paths[left], self.paths[right]
        depth = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[: depth + 1], other[: depth + 1]

    def wrapped(self, layer: int) -> Path | None:
        """The member that holds this layer alone, in a module of its own, where an earlier member is a layer itself.

        The first layer needs no other. Such a module may do more than to call its layer: `net.2.fc` beside `net.0`.
        """
        path = self.paths[layer]
        for depth in range(len(path) - 1):
            unit, rest = path[: depth + 1], path[depth + 1 :]
            alone = sum(own[: depth + 1] == unit for own in self.paths) == 1
            plain = layer == 0 or any(
                own[:depth] == path[:depth] and all(part.isdecimal() for part in own[depth + 1 :])
                for own in self.paths[:layer]
            )
            if alone and plain and not all(part.isdecimal() for part in rest):
                return unit
        return None

    def sealed(self, left: int) -> bool:
        """Whether a layer and the next one are in an `nn.Sequential`, where nothing from outside comes between them.

        Its numbers show it: what it leaves out are activations, which a list of layers alone would not hold.
        """
        one, other = self.paths[left], self.paths[left + 1]
        if one[:-1] != other[:-1] or not (one[-1].isdecimal() and other[-1].isdecimal()):
            return False
        return max(len(one[-1]), len(other[-1])) < 19 and int(other[-1]) - int(one[-1]) > 1
