"""The labels' relations as a graph that is taken apart, class by class, until nothing is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.hashing import Hash, Ints, mixed, several, summed

GONE = -1  # the class of nodes that are settled


@dataclass(frozen=True)
class Peeled:
    """Nodes that lie in groups of `size`, within which all permutations are free.

    Attributes:
        nodes, groups: int64 [m]: each node and the node that its group is.
        tags: int64 [m]: the class of each node when it was peeled; groups of one tag have one size.
        sizes: int64 [m]: of each node's group.
    """

    nodes: Ints
    groups: Ints
    tags: Ints
    sizes: Ints


@dataclass(frozen=True)
class Determined:
    """Nodes that go where two others say: no two of one class (`tags`) have the same pair (a, b). All int64 [m]."""

    nodes: Ints
    tags: Ints
    a: Ints
    b: Ints


class Graph:
    """Nodes with colours, and pairs of nodes with a code in either direction.

    The automorphisms keep colours and codes. Equal structures have equal hashes, so that all steps are sums and sorts
    of arrays. Nodes 0 … count − 1 are labels; more come up as groups of peeled nodes.

    Attributes:
        colour: uint64 [nodes].
        cls: int64 [nodes]: the class of each node in the coarsest equitable partition (after `refine`), GONE for
            nodes that are fixed, merged, peeled or determined.
        u, v, uv, vu: pairs u < v, no pair twice, with the codes from u to v and from v to u.
        into, tag: the node that a node was merged into (itself, if none) and its class then.
        steps: what was peeled and determined, in order.
        holds: bool [nodes]: whether peeled nodes lie in it.
    """

    def __init__(self, colour: Hash, present: NDArray[np.bool_], pairs: tuple[Ints, Ints, Hash, Hash]) -> None:
        nodes = len(colour)
        self.colour = colour
        self.cls = np.where(present, 0, GONE).astype(np.int64)
        self.into, self.tag = np.arange(nodes), np.zeros(nodes, np.int64)
        self.holds = np.zeros(nodes, bool)
        self.steps: list[Peeled | Determined] = []
        self.size: Ints = np.zeros(0, np.int64)  # of each class
        self.u: Ints
        self.v: Ints
        self.uv: Hash
        self.vu: Hash
        self._replace(*pairs)

    def refine(self) -> bool:
        """Splits classes until the members of each have equal neighbours. Returns whether anything is left.

        Class numbers are new ones each time. Nodes alone in their class are fixed: what they say about others is in the
        others' colours, and their pairs are dropped.
        """
        active = np.flatnonzero(self.cls != GONE)
        source, target, code, _ = self.directed()
        order = np.argsort(source, kind="stable")
        source, target, code = source[order], target[order], code[order]
        starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]]) if len(source) else np.zeros(0, np.int64)
        near = source[starts]
        classes = several(self.colour[active])
        while len(near):
            sums = np.add.reduceat(mixed(code, self.colour[target]), starts)
            self.colour[near] = mixed(self.colour[near], sums)
            now = several(self.colour[active])
            if now == classes:
                break
            classes = now
        _, inverse, counts = np.unique(self.colour[active], return_inverse=True, return_counts=True)
        alike = counts > 1
        number = np.where(alike, np.cumsum(alike) - 1 + len(self.size), GONE)
        self.size = np.concatenate([self.size, counts[alike]])
        self.cls[active] = number[inverse]
        both = (self.cls[self.u] != GONE) & (self.cls[self.v] != GONE)
        if not both.all():
            self.keep(both)
        return bool((self.cls != GONE).any())

    def directed(self) -> tuple[Ints, Ints, Hash, Ints]:
        """Every pair from both sides: source, target, code, and the pair's place."""
        place = np.arange(len(self.u))
        return (
            np.concatenate([self.u, self.v]),
            np.concatenate([self.v, self.u]),
            np.concatenate([self.uv, self.vu]),
            np.concatenate([place, place]),
        )

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Drops the pairs that are not chosen."""
        self.u, self.v, self.uv, self.vu = self.u[chosen], self.v[chosen], self.uv[chosen], self.vu[chosen]

    def change(self, kept: NDArray[np.bool_], u: Ints, v: Ints, uv: Hash, vu: Hash) -> None:
        """Drops the pairs that are not kept, and adds others."""
        self._replace(
            np.concatenate([self.u[kept], u]),
            np.concatenate([self.v[kept], v]),
            np.concatenate([self.uv[kept], uv]),
            np.concatenate([self.vu[kept], vu]),
        )

    def merge(self, nodes: Ints, targets: Ints) -> None:
        """Makes one node of each node and its target. Targets may be merged themselves; there is no cycle."""
        self.into[nodes], self.tag[nodes] = targets, self.cls[nodes]
        moved = np.zeros(len(self.cls), bool)
        moved[nodes] = True
        end = np.arange(len(self.cls))
        end[nodes] = targets
        while not np.array_equal(end[end], end):
            end = end[end]
        np.logical_or.at(self.holds, end[nodes], self.holds[nodes])
        touched = moved[self.u] | moved[self.v]
        u, v = self.u[touched], self.v[touched]
        # The classes go into the code, so that it still says which part of the new node a pair belongs to.
        uv = mixed(self.uv[touched], self.cls[u], self.cls[v])
        vu = mixed(self.vu[touched], self.cls[v], self.cls[u])
        self.cls[nodes] = GONE
        self.change(~touched, end[u], end[v], uv, vu)

    def peel(self, nodes: Ints, groups: Ints) -> None:
        """Puts a new node in the place of each group of twins: `groups` numbers them 0 … for each of `nodes`."""
        before, count = len(self.cls), int(groups.max()) + 1
        sizes = np.bincount(groups)
        first = np.full(count, before, np.int64)
        np.minimum.at(first, groups, nodes)
        self.steps.append(Peeled(nodes, groups + before, self.cls[nodes], sizes[groups]))
        self.colour = np.concatenate([self.colour, mixed(7, self.cls[first], sizes)])
        self.into = np.concatenate([self.into, np.arange(before, before + count)])
        self.tag = np.concatenate([self.tag, np.zeros(count, np.int64)])
        self.holds = np.concatenate([self.holds, np.ones(count, bool)])
        self.cls[nodes] = GONE
        self.cls = np.concatenate([self.cls, np.zeros(count, np.int64)])
        # The first of each group hands its pairs on; those of the others are the same.
        name = np.arange(before + count)
        stays = np.ones(before, bool)
        stays[nodes] = False
        stays[first] = True
        name[nodes] = groups + before
        self.keep(stays[self.u] & stays[self.v])
        self._replace(name[self.u], name[self.v], self.uv, self.vu)

    def determine(self, nodes: Ints, a: Ints, b: Ints) -> None:
        """Nodes whose only pairs are with a and b: what they say of those stays as a pair (a, b)."""
        tags = self.cls[nodes]
        self.steps.append(Determined(nodes, tags, a, b))
        gone = np.zeros(len(self.cls), bool)
        gone[nodes] = True
        self.cls[nodes] = GONE
        self.change(~(gone[self.u] | gone[self.v]), a, b, mixed(5, tags), mixed(6, tags))

    def fix(self, nodes: Ints) -> None:
        """Gives each node a colour of its own."""
        self.colour[nodes] = mixed(8, nodes)

    def _replace(self, u: Ints, v: Ints, uv: Hash, vu: Hash) -> None:
        """Sets the pairs: one for each two nodes, with the sum of their codes; loops go into the colours."""
        loop = u == v
        if loop.any():
            at = u[loop]
            sums = summed(at, mixed(uv[loop]) + mixed(vu[loop]), len(self.colour))
            touched = np.unique(at)
            self.colour[touched] = mixed(9, self.colour[touched], sums[touched])
            u, v, uv, vu = u[~loop], v[~loop], uv[~loop], vu[~loop]
        turned = u > v
        u, v = np.where(turned, v, u), np.where(turned, u, v)
        uv, vu = np.where(turned, vu, uv), np.where(turned, uv, vu)
        if len(u):
            order = np.lexsort((v, u))
            u, v, uv, vu = u[order], v[order], uv[order], vu[order]
            starts = np.flatnonzero(np.r_[True, (u[1:] != u[:-1]) | (v[1:] != v[:-1])])
            if len(starts) < len(u):
                u, v, uv, vu = u[starts], v[starts], np.add.reduceat(uv, starts), np.add.reduceat(vu, starts)
        self.u, self.v, self.uv, self.vu = u, v, uv, vu
