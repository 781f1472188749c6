"""Which neurons of an output are which neurons of an input: the building blocks of equivariant linear maps.

A linear map commutes with a monomial group exactly if its coefficient for the entries (e', e) is the same on every
orbit of pairs, and zero where e' and e have different characters. Pairs of tuples of neurons are in one orbit if the
same of their coordinates are equal: a *pattern*. Instead of the pairs of exactly one pattern a block takes those that
are at least so equal (it sums over all neurons, not over all others), which spans the same maps, as in Maron et al.
2019 (arXiv 1812.09902); for one block around another, coordinates inside are equal only where those outside are.

A pattern is written as two words of letters, like an einsum: `(0, 1) -> (0,)` sums over the second index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nfn_cli.nn.labelled.field import CONSTANT, Coordinate, LabelledField

_ALL = 1 << 16  # so many tuples of neurons are compared one by one; of more, so many random ones
_FEW = 32
_Classes = dict[int, int]


@dataclass(frozen=True)
class Pattern:
    """Letters of all coordinates; equal letters stand for equal neurons.

    Attributes:
        before, after: of the field that comes in, and of the one that goes out.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __str__(self) -> str:
        return f"{_word(self.before)}>{_word(self.after)}"

    @property
    def kept(self) -> tuple[int, ...]:
        """The letters of both sides, in the order of those that come in: all that is left after sums."""
        return tuple(letter for letter in dict.fromkeys(self.before) if letter in self.after)


def patterns(before: LabelledField, after: LabelledField) -> list[Pattern]:
    """All patterns between two fields whose entries are multiplied alike."""
    return [own for own in _between(before.coordinates, after.coordinates) if _alike(own, before, after)]


@lru_cache(maxsize=4096)
def _between(before: tuple[Coordinate, ...], after: tuple[Coordinate, ...]) -> tuple[Pattern, ...]:
    """All patterns between such coordinates."""
    own = len(before)
    joint = [*before, *(Coordinate(one.path, None if one.parent is None else one.parent + own) for one in after)]
    found = []
    for classes in _equalities(joint, None, tuple(range(len(joint)))):
        letters: dict[int, int] = {}
        word = tuple(letters.setdefault(classes[place], len(letters)) for place in range(len(joint)))
        found.append(Pattern(word[:own], word[own:]))
    return tuple(found)


def diagonals(field: LabelledField) -> list[Pattern]:
    """All ways in which coordinates of one field may be equal, with none that goes out."""
    still = replace(field, logs=np.zeros_like(field.logs), signs=np.zeros_like(field.signs))
    return patterns(still, CONSTANT)


def _equalities(
    joint: Sequence[Coordinate], parents: Sequence[int] | None, places: Sequence[int]
) -> Iterator[_Classes]:
    """Every way in which coordinates may be equal, as the first place of each one's class.

    Args:
        joint: all coordinates.
        parents: those around the ones that are meant, which are equal; None for none.
        places: of those that are meant, and of all that lie in them.
    """
    here = [place for place in places if joint[place].parent in (parents if parents is not None else (None,))]
    if not here:
        yield {}
        return
    block = joint[here[0]].path[-1]
    alike = [place for place in here if joint[place].path[-1] == block]
    others = [place for place in places if place not in alike and not _inside(joint, place, alike)]
    for rest in _equalities(joint, parents, others):
        for classes in _partitions(alike):
            yield from _with(joint, classes, rest)


def _with(joint: Sequence[Coordinate], classes: Sequence[Sequence[int]], rest: _Classes) -> Iterator[_Classes]:
    if not classes:
        yield rest
        return
    first, *others = classes
    inside = [place for place in range(len(joint)) if _inside(joint, place, first)]
    for below in _equalities(joint, first, inside):
        yield from _with(joint, others, rest | dict.fromkeys(first, min(first)) | below)


def _inside(joint: Sequence[Coordinate], place: int, around: Sequence[int]) -> bool:
    """Whether a coordinate lies in one of others."""
    parent = joint[place].parent
    return parent is not None and (parent in around or _inside(joint, parent, around))


def _partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """All partitions of a list into classes."""
    if not items:
        yield []
        return
    first, *others = items
    for classes in _partitions(others):
        yield [[first], *classes]
        for number, own in enumerate(classes):
            yield [*classes[:number], [first, *own], *classes[number + 1 :]]


def _alike(pattern: Pattern, before: LabelledField, after: LabelledField) -> bool:
    """Whether entries are multiplied alike on all pairs of tuples of a pattern."""
    if not (before.is_scaled or before.is_signed or after.is_scaled or after.is_signed):
        return True
    sizes: dict[int, int] = {}
    for word, field in ((pattern.before, before), (pattern.after, after)):
        sizes |= dict(zip(word, field.sizes, strict=True))
    letters = sorted(sizes)
    count = math.prod(sizes[letter] for letter in letters)
    rng = np.random.default_rng(0)
    # Most that differ do so at once.
    for chosen in (rng.integers(0, count, _FEW), np.arange(count) if count <= _ALL else rng.integers(0, count, _ALL)):
        places = np.unravel_index(chosen, [sizes[letter] for letter in letters]) if letters else ()
        at = dict(zip(letters, places, strict=True))
        for own, other in ((before.logs, after.logs), (before.signs, after.signs)):
            there = own[tuple(at[letter] for letter in pattern.before)]
            if not bool((there == other[tuple(at[letter] for letter in pattern.after)]).all()):
                return False
    return True


def _word(letters: Sequence[int]) -> str:
    return "".join(chr(ord("a") + letter) for letter in letters)
