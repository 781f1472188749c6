"""What the numbers in names tell: which layers count on from each other, and which may only be numbered.

>>> from nfn_cli.architectures.names import tokens
>>> names = [tokens(name) for name in ("fc1", "fc21", "fc22", "fc3")]
>>> [counts_on(names, joint) for joint in range(3)]
[False, False, False]
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.names import Token, follows_by_number

_LARGEST_STEP = 9  # from a number to the next: behind fc4, fc21 is the first of two second ones

Name = tuple[Token, ...]


def counts_on(names: Sequence[Name], joint: int) -> bool:
    """Whether two layers are numbered on from each other, and all names like theirs ascend as theirs do."""
    left, right = names[joint], names[joint + 1]
    if not follows_by_number(left, right):
        return False
    place = _difference(left, right)
    mine, theirs = left[place] if place < len(left) else None, right[place]
    if isinstance(mine, int) and isinstance(theirs, int) and theirs - mine > _LARGEST_STEP:
        return False
    alike = [name[place] for name in names if name[:place] == right[:place] and len(name) > place]
    counted = [number for number in alike if isinstance(number, int)]
    return counted == sorted(counted)


def is_restart(names: Sequence[Name], joint: int) -> bool:
    """Whether names count on and another number begins anew, as from `q1_fc2` to `q2_fc1`."""
    left, right = names[joint], names[joint + 1]
    place = _difference(left, right)
    return follows_by_number(left, right) and any(isinstance(token, int) for token in right[place + 1 :])


def numbered_alike(names: Sequence[Name], joint: int) -> tuple[int, int]:
    """The first and the last of the layers around a joint whose names differ in their last number alone."""
    prefix = names[joint][:-1]
    first, last = joint, joint
    while first > 0 and _is_member(names[first - 1], prefix):
        first -= 1
    while last + 1 < len(names) and _is_member(names[last + 1], prefix):
        last += 1
    return (first, last) if _is_member(names[joint], prefix) else (joint, joint)


def may_be_heads(layers: Sequence[Layer], names: Sequence[Name], joint: int) -> bool:
    """Whether layers that are numbered alike may all read what comes before it, by their shapes.

    They are of one square shape, and the last of the network though not its first: `task1`, `task2`. Or a second number
    counts them: `fc1_1`, `fc1_2`.
    """
    first, last = numbered_alike(names, joint)
    if first == last:
        return False
    shapes = {(layer.in_features, layer.out_features, layer.kernel) for layer in layers[first : last + 1]}
    square = len(shapes) == 1 and layers[joint].in_features == layers[joint].out_features
    if not square or layers[first].spatial != 1:
        return False
    again = len(names[joint]) > 1 and isinstance(names[joint][-2], int)
    return again or (first > 0 and last == len(layers) - 1)


def _is_member(name: Name, prefix: Name) -> bool:
    return name[:-1] == prefix and isinstance(name[-1], int)


def _difference(left: Name, right: Name) -> int:
    pairs = enumerate(zip_longest(left, right))
    return next((place for place, (one, other) in pairs if one != other), len(left))
