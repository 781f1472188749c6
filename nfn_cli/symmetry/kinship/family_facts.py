"""What is found of many networks: which families they form, and what each is in its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nfn_cli.symmetry.kinship.signature import Signature
from nfn_cli.symmetry.kinship.verdict import Verdict


class Relation(str, Enum):
    """What a network is in its family.

    root: the probable root of a tree, which is a guess. derived: a relative of the network above it in the tree, from
    which it probably comes; which of the two was first is a guess. first: the first, in the order of the files, of
    networks that are one but for disguise. copy: the numbers of another one, bit for bit. disguised: the same function
    in other numbers. rounded: the same at another precision. stranger: no relative was found.
    """

    root = "root"
    derived = "derived"
    first = "first"
    copy = "copy"
    disguised = "disguised"
    rounded = "rounded"
    stranger = "stranger"


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        family: from 1, the largest first.
        orbit: from 1, in the order of the files; networks of one are the same but for disguise.
        of: the network that the relation is to; None for roots, firsts and strangers.
        distance: of relatives, ‖g·B − A‖ / ‖A‖ after alignment.
        score, false_positive_rate: of relatives, see `Comparison`.
        guessed: whether a guess of who was first is in the relation.
    """

    path: str
    family: int
    orbit: int
    relation: Relation
    of: str | None
    distance: float | None
    score: float | None
    false_positive_rate: float | None
    guessed: bool
    signature: Signature
    read_as: str
    assumed: str | None


@dataclass(frozen=True)
class Pair:
    """Two networks that were compared, each the first of its orbit.

    Attributes:
        one, other: paths.
        changed: the layer that differs most after alignment; None where they are the same or not comparable.
    """

    one: str
    other: str
    verdict: Verdict
    cause: str
    score: float | None
    false_positive_rate: float | None
    log10_p: float | None
    before: float | None
    after: float | None
    changed: str | None


@dataclass(frozen=True)
class Root:
    """The guess about one family's root.

    Attributes:
        agreeing, voting: how many of the tree's edges point away from the root by their own guess, of those with one.
    """

    family: int
    path: str
    agreeing: int
    voting: int


@dataclass(frozen=True)
class Failed:
    """A file that was not read or placed, and why."""

    path: str
    error: str


@dataclass(frozen=True)
class Families:
    """What was found.

    Attributes:
        members: by family, the largest first; in a family the tree from its root down.
        pairs: all that were compared.
        roots: of families with more than one orbit.
        failed: in the order of the files.
        possible: how many pairs of one architecture there are; more than were compared in a large folder.
    """

    members: tuple[Member, ...]
    pairs: tuple[Pair, ...]
    roots: tuple[Root, ...]
    failed: tuple[Failed, ...]
    possible: int

    @property
    def count(self) -> int:
        """How many families there are, strangers not counted."""
        return len({own.family for own in self.members if own.relation is not Relation.stranger})

    @property
    def orbits(self) -> int:
        """How many networks there are that are not the same but for disguise."""
        return len({own.orbit for own in self.members})
