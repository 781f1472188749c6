"""Trees over relatives, and where they are hung up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from nfn_cli.symmetry.kinship.direction import earlier
from nfn_cli.symmetry.kinship.signature import Signature
from nfn_cli.symmetry.kinship.tree import Edge, components, hung, spanning


def known(parents: dict[int, int]) -> Callable[[int, int], int]:
    """Guesses that are right."""
    return lambda one, other: 1 if parents.get(other) == one else -1 if parents.get(one) == other else 0


def test_components_and_spanning_tree() -> None:
    edges = [Edge(0, 2, 1.0), Edge(2, 5, 2.0), Edge(0, 5, 5.0), Edge(1, 3, 1.0)]
    assert components(range(6), edges) == [[0, 2, 5], [1, 3], [4]]
    assert spanning(range(6), edges) == [Edge(0, 2, 1.0), Edge(1, 3, 1.0), Edge(2, 5, 2.0)]


def test_the_root_from_which_the_edges_point() -> None:
    drawn = random.Random(0)
    for size in (2, 3, 8, 40):
        nodes = list(range(size))
        drawn.shuffle(nodes)
        parents = {node: nodes[drawn.randrange(place)] for place, node in enumerate(nodes) if place}
        edges = [Edge(min(pair), max(pair), drawn.random()) for pair in parents.items()]
        tree = hung(sorted(nodes), edges, known(parents))
        assert tree.root == nodes[0]
        assert tree.parents == parents
        assert (tree.agreeing, tree.voting) == (size - 1, size - 1)


def test_of_two_roots_with_as_many_votes_the_one_in_the_middle() -> None:
    parents = {1: 0, 2: 0, 3: 0, 4: 1}
    right = known(parents)

    def guess(one: int, other: int) -> int:
        return -right(one, other) if {one, other} == {1, 4} else right(one, other)

    tree = hung(range(5), [Edge(min(pair), max(pair), 1.0) for pair in parents.items()], guess)
    assert (tree.root, tree.agreeing, tree.voting) == (0, 3, 4)


def test_without_guesses_the_middle() -> None:
    star = [Edge(0, place, 1.0) for place in (1, 2, 3)] + [Edge(3, 4, 1.0)]
    tree = hung(range(5), star, lambda one, other: 0)
    assert tree.root == 0
    assert (tree.agreeing, tree.voting) == (0, 0)


def test_lengths_that_are_not_known() -> None:
    tree = hung(range(3), [Edge(0, 1, math.inf), Edge(1, 2, 1.0)], lambda one, other: 0)
    assert tree.parents.keys() | {tree.root} == {0, 1, 2}


def test_one_alone() -> None:
    assert hung([7], [], lambda one, other: 0).root == 7


def test_the_larger_one_is_taken_for_the_child() -> None:
    base = Signature("a", (), 1.0, 0.5)
    assert earlier(base, Signature("a", (), 1.1, 0.4)) == 1
    assert earlier(base, Signature("a", (), 0.9, 0.6)) == -1
    assert earlier(base, Signature("a", (), 1.0, 0.6)) == 0
