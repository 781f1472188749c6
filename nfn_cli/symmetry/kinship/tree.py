"""A tree over relatives: the shortest edges that join them, hung up at the probable root."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_FAR = 1e6  # stands for a distance that is not known
_DIGITS = 9  # of sums of distances
Beside = Mapping[int, Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class Edge:
    """Two relatives, and how far apart they are.

    Attributes:
        one, other: numbers of networks.
        length: small for near relatives.
    """

    one: int
    other: int
    length: float


@dataclass(frozen=True)
class Tree:
    """A family hung up at its probable root, which is a guess.

    Attributes:
        root: a network.
        parents: of every other network, the one above it.
        agreeing, voting: how many edges point away from the root by their own guess, and how many have one.
    """

    root: int
    parents: Mapping[int, int]
    agreeing: int
    voting: int


def components(nodes: Sequence[int], edges: Sequence[Edge]) -> list[list[int]]:
    """The nodes that edges join, each set in order; sets in the order of their first nodes."""
    names = {node: node for node in nodes}
    for edge in edges:
        _join(names, edge.one, edge.other)
    found: dict[int, list[int]] = {}
    for node in sorted(nodes):
        found.setdefault(_find(names, node), []).append(node)
    return list(found.values())


def spanning(nodes: Sequence[int], edges: Sequence[Edge]) -> list[Edge]:
    """The edges of the shortest tree, or of one for each component (Kruskal)."""
    names = {node: node for node in nodes}
    ordered = sorted(edges, key=lambda edge: (edge.length, edge.one, edge.other))
    return [edge for edge in ordered if _join(names, edge.one, edge.other)]


def hung(nodes: Sequence[int], edges: Sequence[Edge], earlier: Callable[[int, int], int]) -> Tree:
    """The shortest tree over one component, at the root from which the most edges point as the guesses say.

    Of equals, the root is the one that is nearest to all others in the tree.

    Args:
        earlier: 1 if the first of two looks like the parent of the second, −1 for the reverse, 0 for no guess.

    >>> chain = [Edge(0, 1, 1.0), Edge(1, 2, 1.0), Edge(0, 2, 1.5)]
    >>> hung([0, 1, 2], chain, lambda one, other: 1 if one > other else -1)
    Tree(root=2, parents={1: 2, 0: 1}, agreeing=2, voting=2)
    """
    beside: dict[int, list[tuple[int, float]]] = {node: [] for node in nodes}
    chosen = spanning(nodes, edges)
    guesses: dict[tuple[int, int], int] = {}
    for edge in chosen:
        length = edge.length if math.isfinite(edge.length) else _FAR
        beside[edge.one].append((edge.other, length))
        beside[edge.other].append((edge.one, length))
        guesses[edge.one, edge.other] = earlier(edge.one, edge.other)
        guesses[edge.other, edge.one] = -guesses[edge.one, edge.other]
    root = _root(min(nodes), beside, guesses)
    parents, _ = _from(root, beside)
    votes = [guesses[parent, child] for child, parent in parents.items()]
    return Tree(root, parents, sum(vote > 0 for vote in votes), sum(vote != 0 for vote in votes))


def _root(start: int, beside: Beside, guesses: Mapping[tuple[int, int], int]) -> int:
    """Where the most edges point away; from one node to the next only the edge between them turns."""
    parents, distances = _from(start, beside)
    below = dict.fromkeys(distances, 1)
    for node in reversed(distances):  # from the leaves
        if node in parents:
            below[parents[node]] += below[node]
    votes = {start: sum(guesses[parent, child] for child, parent in parents.items())}
    reach = {start: sum(distances.values())}
    for node, parent in parents.items():
        length = distances[node] - distances[parent]
        votes[node] = votes[parent] - 2 * guesses[parent, node]
        reach[node] = reach[parent] + length * (len(distances) - 2 * below[node])
    return min(distances, key=lambda node: (-votes[node], round(reach[node], _DIGITS), node))


def _from(root: int, beside: Beside) -> tuple[dict[int, int], dict[int, float]]:
    """Every node's parent seen from a root, and its distance; a node comes behind its parent."""
    parents: dict[int, int] = {}
    distances, waiting = {root: 0.0}, deque([root])
    while waiting:
        node = waiting.popleft()
        for other, length in beside[node]:
            if other not in distances:
                distances[other] = distances[node] + length
                parents[other] = node
                waiting.append(other)
    return parents, distances


def _find(names: dict[int, int], node: int) -> int:
    while names[node] != node:
        names[node] = names[names[node]]
        node = names[node]
    return node


def _join(names: dict[int, int], one: int, other: int) -> bool:
    """Make two sets one; False where they are already."""
    first, second = sorted((_find(names, one), _find(names, other)))
    names[second] = first
    return first != second
