"""Which files are compared: kin of a base, bases and kin of other families, networks trained apart two by two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from disguises import PLAIN, disguises_of
from independent import members
from members import BASE, MEMBERS, Family
from recipes import RECIPES

# Left out to save time: the child that is only there to be merged; what is rotated or left plain and tells little more.
_UNMEASURED = {"sibling"}
_ALSO = {
    PLAIN: {"short", "long", "noise-0.5", "merged", "replaced", "grown"},
    "rotated": {BASE, "short", "long", "noise-0.25", "noise-0.5"},
}


@dataclass(frozen=True)
class Pair:
    """Two files to compare.

    Attributes:
        group: "kin", "independent" (of two families of one kind), "null" or "fresh".
        family: of networks: mlp, cnn, resnet, lm.
        kind: of families, or the recipe.
        one, other: numbers of the families, equal for kin; of disjoint pairs, those of the networks.
        member, disguise: of the second file.
    """

    group: str
    family: str
    kind: str
    one: int
    other: int
    member: str
    disguise: str
    a: Path
    b: Path

    @property
    def key(self) -> str:
        """Of the pair in the results."""
        return "/".join((self.group, self.kind, str(self.one), str(self.other), self.member, self.disguise))


def kin_pairs(families: list[Family]) -> Iterator[Pair]:
    """A base and each of its kin, those of the first family of every kind first."""
    for family in sorted(families, key=lambda own: own.number):
        for member in MEMBERS:
            for disguise in (PLAIN, *disguises_of(family)):
                if member in _UNMEASURED or (member, disguise) == (BASE, PLAIN):
                    continue
                if disguise == "disguised" or member in _ALSO[disguise]:
                    yield _between("kin", family, family, member, disguise)


def independent_pairs(families: list[Family]) -> Iterator[Pair]:
    """The base of each family and the next one's of its kind, and that one's long fine-tune, plain and disguised."""
    for one in sorted(families, key=lambda own: own.number):
        other = replace(one, number=(one.number + 1) % one.kind.count)
        for disguise in (PLAIN, *disguises_of(one)):
            for member in (BASE, "long"):
                yield _between("independent", one, other, member, disguise)


def _between(group: str, one: Family, other: Family, member: str, disguise: str) -> Pair:
    a, b = one.place(BASE), other.place(member, disguise)
    kind = one.kind
    return Pair(group, kind.family, kind.name, one.number, other.number, member, disguise, a, b)


def disjoint_pairs(folder: Path, part: str) -> Iterator[Pair]:
    """Networks of every recipe two by two, each in one pair."""
    for recipe in RECIPES.values():
        if recipe.part == part:
            found = members(folder, recipe)
            for number in range(0, len(found) - 1, 2):
                a, b = found[number : number + 2]
                yield Pair(part, recipe.family, recipe.name, number, number + 1, BASE, PLAIN, a, b)
