"""Many networks sorted into families: copies, disguised copies, descendants and strangers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from nfn_cli.errors import NfnError, UsageError
from nfn_cli.symmetry.kinship.candidates import Candidates, kin_candidates
from nfn_cli.symmetry.kinship.direction import earlier
from nfn_cli.symmetry.kinship.family_facts import Failed, Families, Member, Pair, Relation, Root
from nfn_cli.symmetry.kinship.orbits import Likeness, Memory, Orbits
from nfn_cli.symmetry.kinship.tree import Edge, Tree, components, hung
from nfn_cli.symmetry.kinship.verdict import Comparison, Verdict

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

MOST_PAIRS = 2_000


class Shows(Protocol):
    """Takes the progress: a stage with its steps, and each step."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """A stage begins."""

    def advance(self) -> None:
        """A step is done."""


class _Silent:
    def stage(self, name: str, total: int, unit: str) -> None:
        pass

    def advance(self) -> None:
        pass


Read = Callable[[str], "AnySource"]
Compare = Callable[["AnySource", "AnySource"], Comparison]


def find_families(
    paths: Sequence[str],
    read: Read,
    *,
    most_pairs: int = MOST_PAIRS,
    compare: Compare | None = None,
    shows: Shows | None = None,
) -> Families:
    """Sort networks into families.

    Args:
        paths: names of networks; one that cannot be read is a failure and stops nothing.
        read: reads one.
        most_pairs: how many pairs are compared for kinship, those with the nearest signatures; 0 finds copies alone.
        compare: the verdict on two networks, `compare_networks` by default.

    Raises:
        UsageError: of an option, or SciPy is needed and missing.
    """
    shows = shows or _Silent()
    sorter = _Sorter(paths, read, compare or _compare, shows)
    sorter.place()
    candidates = sorter.kin(most_pairs)
    return sorter.result(candidates)


def _compare(reference: AnySource, source: AnySource) -> Comparison:
    from nfn_cli.symmetry.kinship import compare_networks

    return compare_networks(reference, source)


@dataclass(frozen=True)
class _Read:
    """What is kept of a network."""

    path: str
    read_as: str
    assumed: str | None


class _Sorter:
    """The work on one set of files, step by step."""

    def __init__(self, paths: Sequence[str], read: Read, compare: Compare, shows: Shows) -> None:
        self._paths, self._read, self._compare, self._shows = paths, read, compare, shows
        self._known: list[_Read] = []
        self._failed: list[Failed] = []
        self._orbits = Orbits(self._reopen)
        self._standing: list[int] = []  # by orbit, the first of those of the finest precision
        self._pairs: dict[tuple[int, int], Comparison] = {}  # by orbits

    def _reopen(self, place: int) -> AnySource:
        return self._read(self._known[place].path)

    def place(self) -> None:
        """Read every file and find its orbit."""
        self._shows.stage("finding copies", len(self._paths), "files")
        for path in self._paths:
            try:
                source = self._read(path)
                self._orbits.add(source)
            except UsageError:
                raise
            except NfnError as error:
                self._failed.append(Failed(path, str(error)))
            else:
                self._known.append(_Read(path, source.reading.text, source.reading.assumed))
            self._shows.advance()
        self._standing = list(self._orbits.firsts)
        for place, own in enumerate(self._orbits.placed):
            if own.eps < self._orbits.placed[self._standing[own.orbit]].eps:
                self._standing[own.orbit] = place

    def kin(self, most: int) -> Candidates:
        """Compare orbits, each by one network."""
        standing = self._standing
        candidates = kin_candidates([self._orbits.placed[place].signature for place in standing], most)
        self._shows.stage("comparing relatives", len(candidates.pairs), "pairs")
        memory = Memory(self._reopen)
        for one, other in sorted(candidates.pairs):
            try:
                found = self._compare(memory.get(standing[one]), memory.get(standing[other]))
            except UsageError:
                raise
            except NfnError as error:
                found = Comparison(Verdict.unknown, str(error))
            self._pairs[one, other] = replace(found, element=None)  # which may be large
            self._shows.advance()
        return candidates

    def result(self, candidates: Candidates) -> Families:
        """What was found, in order."""
        pairs = tuple(self._pair(pair, found) for pair, found in sorted(self._pairs.items()))
        same = [pair for pair, own in self._pairs.items() if own.verdict in (Verdict.same, Verdict.rounded)]
        joined = components(range(len(self._standing)), [Edge(*pair, 0.0) for pair in same])
        of_orbit = {orbit: own[0] for own in joined for orbit in own}
        for own in joined:
            self._standing[own[0]] = min((self._standing[orbit] for orbit in own), key=self._fineness)
        edges: dict[tuple[int, int], tuple[Edge, Comparison]] = {}
        for (one, other), found in self._pairs.items():
            if found.verdict is Verdict.derived:
                ends = of_orbit[one], of_orbit[other]
                key = min(ends), max(ends)
                edge = Edge(*key, found.after if found.after is not None else math.inf)
                if key[0] != key[1] and (key not in edges or edge.length < edges[key][0].length):
                    edges[key] = edge, found
        every = [edge for edge, _ in edges.values()]
        rows: dict[int, list[int]] = {}
        for place, placed in enumerate(self._orbits.placed):
            rows.setdefault(of_orbit[placed.orbit], []).append(place)
        groups = components(sorted(rows), every)
        groups.sort(key=lambda own: (-sum(len(rows[orbit]) for orbit in own), own[0]))
        members: list[Member] = []
        roots: list[Root] = []
        for family, orbits in enumerate(groups, 1):
            inside = set(orbits)
            tree = hung(orbits, [edge for edge in every if edge.one in inside], self._earlier)
            if len(orbits) > 1:
                root = self._path(self._standing[tree.root])
                roots.append(Root(family, root, tree.agreeing, tree.voting))
            for orbit in _downward(tree):
                members += self._members(family, orbit, tree, edges, rows[orbit])
        return Families(tuple(members), pairs, tuple(roots), tuple(self._failed), candidates.possible)

    def _earlier(self, one: int, other: int) -> int:
        standing, placed = self._standing, self._orbits.placed
        return earlier(placed[standing[one]].signature, placed[standing[other]].signature)

    def _fineness(self, place: int) -> tuple[float, int]:
        return self._orbits.placed[place].eps, place

    def _path(self, place: int) -> str:
        return self._known[place].path

    def _members(
        self,
        family: int,
        orbit: int,
        tree: Tree,
        edges: dict[tuple[int, int], tuple[Edge, Comparison]],
        places: Sequence[int],
    ) -> list[Member]:
        """The network that stands for an orbit, the first of the finest precision, then those like it."""
        placed = self._orbits.placed
        first, *others = sorted(places, key=self._fineness)
        relation, of, found = Relation.stranger, None, None
        if orbit in tree.parents:
            above = tree.parents[orbit]
            relation, of = Relation.derived, self._path(self._standing[above])
            found = edges[min(orbit, above), max(orbit, above)][1]
        elif tree.parents:
            relation = Relation.root
        elif others:
            relation = Relation.first
        members = [self._member(first, family, orbit, relation, of, found)]
        for place in others:
            like, own = self._likeness(place, first), placed[place].of
            beside = own if like is Relation.copy and own != place else first
            members.append(self._member(place, family, orbit, like, self._path(beside), None))
        return members

    def _likeness(self, place: int, first: int) -> Relation:
        """What a network is to the one that stands for its orbit, or, of a copy, to that of which it is one."""
        own, other = self._orbits.placed[place], self._orbits.placed[first]
        if own.likeness is Likeness.copy:
            return Relation.copy
        if own.orbit != other.orbit:  # a comparison has joined them
            pair = min(own.orbit, other.orbit), max(own.orbit, other.orbit)
            joint = self._pairs.get(pair)
            if joint is not None and joint.verdict is Verdict.rounded:
                return Relation.rounded
        return Relation.rounded if own.eps > other.eps else Relation.disguised

    def _member(
        self, place: int, family: int, orbit: int, relation: Relation, of: str | None, found: Comparison | None
    ) -> Member:
        known = self._known[place]
        return Member(
            path=known.path,
            family=family,
            orbit=orbit + 1,
            relation=relation,
            of=of,
            distance=None if found is None else found.after,
            score=None if found is None else found.score,
            false_positive_rate=None if found is None else found.false_positive_rate,
            guessed=relation in (Relation.root, Relation.derived),
            signature=self._orbits.placed[place].signature,
            read_as=known.read_as,
            assumed=known.assumed,
        )

    def _pair(self, pair: tuple[int, int], found: Comparison) -> Pair:
        one, other = (self._path(self._standing[orbit]) for orbit in pair)
        changed: Any = max(found.layers, key=lambda layer: layer.changed, default=None)
        return Pair(
            one=one,
            other=other,
            verdict=found.verdict,
            cause=found.cause,
            score=found.score,
            false_positive_rate=found.false_positive_rate,
            log10_p=found.log10_p,
            before=found.before,
            after=found.after,
            changed=changed.name if changed is not None and found.verdict is Verdict.derived else None,
        )


def _downward(tree: Tree) -> list[int]:
    """The nodes of a tree, each behind the one above it; children in the order in which they were found."""
    below: dict[int, list[int]] = {}
    for child, parent in tree.parents.items():
        below.setdefault(parent, []).append(child)
    found, waiting = [], [tree.root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += sorted(below.get(node, []), reverse=True)
    return found
