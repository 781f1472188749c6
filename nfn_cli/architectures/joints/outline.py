"""What names and shapes say about the layers of a chain, and the doubts about the joints between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.names import first_difference, rank, tokens
from nfn_cli.architectures.numbered_names import counts_on, may_be_heads
from nfn_cli.architectures.scopes import Path, Scopes

_CONVOLVES = {"conv", "convs", "cnn", "convnet", "vision", "visual", "image"}
_CONNECTS = {"fc", "fcs", "linear", "linears", "dense", "mlp", "lin"}


@dataclass
class Doubts:
    """Why neurons stay in place, by the rival readings found so far.

    Attributes:
        hard: by joint, reasons that hold everywhere.
        soft: by joint, reasons that do not hold inside of an `nn.Sequential`.
        widths: by number of neurons, reasons for all joints of that width that are not inside of an `nn.Sequential`.
    """

    hard: dict[int, str] = field(default_factory=dict)
    soft: dict[int, str] = field(default_factory=dict)
    widths: dict[int, str] = field(default_factory=dict)

    def reason(self, outline: Outline, joint: int) -> str | None:
        """Why the neurons at a joint stay in place; None where they may be moved."""
        soft = self.soft.get(joint) or self.widths.get(outline.layers[joint].out_features)
        return (None if outline.sealed[joint] else soft) or self.hard.get(joint)


class Outline:
    """Layers in the order of computation. Joint k lies between layers k and k + 1.

    Attributes:
        scopes: the containers that the names show.
        tokens: the words and numbers of each name.
        sealed: of each joint, whether it lies inside of an `nn.Sequential`.
        numbered: of each joint, whether the number in the second name follows that in the first.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.scopes = Scopes([layer.name for layer in layers])
        self.tokens = [tokens(layer.name) for layer in layers]
        joints = range(len(layers) - 1)
        self.sealed = [self.scopes.sealed(joint) for joint in joints]
        self.numbered = [counts_on(self.tokens, joint) and not self._are_heads(joint) for joint in joints]

    def linked(self, joint: int) -> bool:
        """Whether a joint lies inside of an `nn.Sequential`, or between names whose numbers follow each other."""
        return 0 <= joint < len(self.sealed) and (self.sealed[joint] or self.numbered[joint])

    def run(self, joint: int) -> tuple[int, int]:
        """The first and last layer that are linked to those at a joint: its own two if none are."""
        first, last = joint, joint + 1
        while self.linked(first - 1):
            first -= 1
        while self.linked(last):
            last += 1
        return first, last

    def rank(self, joint: int, side: int) -> int:
        """Whether the first word in which two names differ stands at the front (−1), at the end (1) or neither (0).

        Args:
            side: 0 for the word of the first name, 1 for that of the second.
        """
        token = first_difference(self.tokens[joint], self.tokens[joint + 1])[side]
        return rank(token) if token is not None else 0

    def classifies(self, one: Path, other: Path) -> bool:
        """Whether two names are of convolutions and a classifier: `features` and `classifier`, `convs` and `fcs`."""
        mine, theirs = (tuple(str(token) for token in tokens(path[-1])) for path in (one, other))
        first = any(rank(word) < 0 or set(word.split("_")) & _CONVOLVES for word in mine)
        last = any(rank(word) > 0 or set(word.split("_")) & _CONNECTS for word in theirs)
        return first and last

    def _are_heads(self, joint: int) -> bool:
        """Whether two layers such as `head1` and `head2` may both read what comes before them."""
        before, after = self.layers[joint], self.layers[joint + 1]
        shared = [token for token in self.tokens[joint] if isinstance(token, str)]
        last = bool(shared) and rank(shared[-1]) > 0
        if self.sealed[joint] or before.in_features != after.in_features:
            return False
        return last or may_be_heads(self.layers, self.tokens, joint) or self._are_listed_heads(joint)

    def _are_listed_heads(self, joint: int) -> bool:
        """Whether two layers of a list behind another container may both read what that gives."""
        path, other = self.scopes.paths[joint][:-1], self.scopes.paths[joint + 1][:-1]
        own = self.scopes.containers.get(path, ())
        if path != other or not own or own[0] == 0 or not self.scopes.paths[joint][-1].isdecimal():
            return False
        entry = self.scopes.units(own[0] - 1, own[0])
        listed = all(layer.in_features == self.layers[joint].in_features for layer in (self.layers[k] for k in own))
        return listed and entry[0] in self.scopes.containers and not self.classifies(*entry)
