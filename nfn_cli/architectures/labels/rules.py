"""Steps that take a graph of labels apart. Each says whether it changed anything; all but `freeze` keep the group.

They expect the graph refined: members of one class have the same numbers of neighbours of each class and code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.graph import GONE, Graph
from nfn_cli.architectures.labels.hashing import Hash, Ints, mixed, once, summed
from nfn_cli.architectures.labels.union import UnionFind

# How many codes within a class, and functions of a class, are tried.
_TRIES = 4
# Pairs that the complement of a relation may have.
_MOST_PAIRS = 1 << 22


def drop_complete(graph: Graph) -> bool:
    """Where the pairs of two classes all have some code, the most frequent code says nothing that the others do not."""
    if not len(graph.u):
        return False
    a, b, ab, ba = _oriented(graph)
    whole, total, pairs = _coverage(graph, a, b)
    covered = (total == whole)[pairs]
    if not covered.any():
        return False
    symmetric = (a != b) | (ab == ba)
    _, kind, counts = np.unique(mixed(pairs, ab, ba), return_inverse=True, return_counts=True)
    worth = np.where(covered & symmetric, counts[kind], 0)
    order = np.lexsort((kind, -worth, pairs))
    first = order[np.flatnonzero(np.r_[True, pairs[order][1:] != pairs[order][:-1]])]
    best = np.full(len(whole), -1)
    best[pairs[first]] = np.where(worth[first] > 0, kind[first], -1)
    dropped = best[pairs] == kind
    graph.keep(~dropped)
    return bool(dropped.any())


def complement(graph: Graph) -> bool:
    """Takes the pairs of two classes that are not related, where those are fewer."""
    if not len(graph.u):
        return False
    a, b, ab, ba = _oriented(graph)
    whole, total, pairs = _coverage(graph, a, b)
    codes = mixed(ab, ba)
    for number in np.flatnonzero((2 * total > whole) & (whole < _MOST_PAIRS)):
        chosen = pairs == number
        left, right = int(a[chosen][0]), int(b[chosen][0])
        if len(np.unique(codes[chosen])) > 1 or (left == right and (ab != ba)[chosen].any()):
            continue
        one, two = np.flatnonzero(graph.cls == left), np.flatnonzero(graph.cls == right)
        u, v = (x.ravel() for x in np.meshgrid(one, two, indexing="ij"))
        u, v = np.minimum(u, v), np.maximum(u, v)
        key = np.unique((u * len(graph.cls) + v)[u != v])
        key = np.setdiff1d(key, graph.u[chosen] * len(graph.cls) + graph.v[chosen])
        u, v = key // len(graph.cls), key % len(graph.cls)
        code = mixed(10, ab[chosen][:1] + ba[chosen][:1])
        graph.change(~chosen, u, v, np.repeat(code, len(u)), np.repeat(code, len(u)))
        return True
    return False


def merge_matchings(graph: Graph) -> bool:
    """Makes one class of two whose members are matched one to one: they move together."""
    source, target, code, _ = graph.directed()
    a, b = graph.cls[source], graph.cls[target]
    down = (a > b) & (graph.size[a] == graph.size[b])
    if not down.any():
        return False
    source, target, a, b, code = source[down], target[down], a[down], b[down], code[down]
    _, kind, counts = np.unique(mixed(a, b, code), return_inverse=True, return_counts=True)
    matching = counts[kind] == graph.size[a]
    if not matching.any():
        return False
    source, target, a, b, kind = source[matching], target[matching], a[matching], b[matching], kind[matching]
    # Each class goes into the smallest that it is matched with, so that there is no cycle.
    order = np.lexsort((kind, b, a))
    first = order[np.flatnonzero(np.r_[True, a[order][1:] != a[order][:-1]])]
    best = np.full(len(graph.size), -1)
    best[a[first]] = kind[first]
    taken = best[a] == kind
    graph.merge(source[taken], target[taken])
    return True


def peel_twins(graph: Graph) -> bool:
    """Puts one node in the place of members of a class that have the same neighbours, or are each other's."""
    source, target, code, _ = graph.directed()
    nodes = len(graph.cls)
    near = summed(source, mixed(code, target), nodes)
    if _peel(graph, near, graph.cls != GONE):
        return True
    inner = graph.cls[source] == graph.cls[target]
    if not inner.any():
        return False
    kinds = np.unique(np.stack([graph.cls[source][inner].astype(np.uint64), code[inner]]), axis=1)
    cls, codes = kinds[0].astype(np.int64), kinds[1]
    start = np.flatnonzero(np.r_[True, cls[1:] != cls[:-1]])
    rank = np.arange(len(cls)) - np.repeat(start, np.diff(np.r_[start, len(cls)]))
    for r in range(_TRIES):
        # With itself among its neighbours, by the code between them, each of two adjacent twins has the same ones.
        tried = rank == r
        own = np.zeros(len(graph.size), np.uint64)
        own[cls[tried]] = codes[tried]
        has = np.zeros(len(graph.size), bool)
        has[cls[tried]] = True
        active = np.flatnonzero(graph.cls != GONE)
        active = active[has[graph.cls[active]]]
        closed = near.copy()
        closed[active] += mixed(own[graph.cls[active]], active)
        chosen = np.zeros(nodes, bool)
        chosen[active] = True
        if _peel(graph, closed, chosen):
            return True
    return False


def _peel(graph: Graph, near: Hash, chosen: NDArray[np.bool_]) -> bool:
    """Peels classes of the chosen nodes with groups of equal hash, or splits them by the groups' sizes."""
    active = np.flatnonzero(chosen)
    if not len(active):
        return False
    cls = graph.cls[active]
    _, group, counts = np.unique(mixed(cls, near[active]), return_inverse=True, return_counts=True)
    size = counts[group]
    largest = np.zeros(len(graph.size), np.int64)
    np.maximum.at(largest, cls, size)
    smallest = largest.copy()
    np.minimum.at(smallest, cls, size)
    uneven = (smallest < largest)[cls]
    if uneven.any():
        graph.colour[active[uneven]] = mixed(graph.colour[active[uneven]], size[uneven])
    ready = ((smallest == largest) & (largest > 1))[cls]
    if ready.any():
        # Groups are numbered by their first members, so that what is found is in the order of the labels.
        _, first, number = np.unique(group[ready], return_index=True, return_inverse=True)
        place = np.empty(len(first), np.int64)
        place[np.argsort(first)] = np.arange(len(first))
        graph.peel(active[ready], place[number])
    return bool(uneven.any() or ready.any())


def lift(graph: Graph) -> bool:
    """Where all members of C below one member of P have the same neighbours in Q, those are P's neighbours."""
    source, target, code, place = graph.directed()
    if not len(source):
        return False
    classes = len(graph.size)
    # One row for each node and each class of neighbours.
    key = source * classes + graph.cls[target]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    near = np.add.reduceat(mixed(code, target)[order], starts)
    count = np.diff(np.r_[starts, len(key)])
    key, node, first = key[starts], key[starts] // classes, target[order][starts]
    own, other = graph.cls[node], key % classes
    functional = (count == 1) & (own != other)
    functions = once((own * classes + other)[functional])
    c, p = functions // classes, functions % classes
    ranked = np.lexsort((p, -graph.size[p], c))
    c, p = c[ranked], p[ranked]
    begin = np.flatnonzero(np.r_[True, c[1:] != c[:-1]]) if len(c) else np.zeros(0, np.int64)
    rank = np.arange(len(c)) - np.repeat(begin, np.diff(np.r_[begin, len(c)]))
    for r in range(_TRIES):
        chosen = np.full(classes, -1)
        chosen[c[rank == r]] = p[rank == r]
        # above[x]: the member of P over x; lead[x]: the first x below the same one.
        up = functional & (other == chosen[own])
        above = np.full(len(graph.cls), -1)
        above[node[up]] = first[up]
        lead = np.full(len(graph.cls), -1)
        below = node[up]
        fibre = graph.cls[below] * len(graph.cls) + above[below]
        _, lowest, which = np.unique(fibre, return_index=True, return_inverse=True)
        lead[below] = below[lowest[which]]
        row = np.flatnonzero((lead[node] >= 0) & (other != chosen[own]) & (other != own))
        if not len(row):
            continue
        want = lead[node[row]] * classes + other[row]
        at = np.minimum(np.searchsorted(key, want), len(key) - 1)
        same = (key[at] == want) & (near[at] == near[row])
        link = own[row] * classes + other[row]
        good = np.setdiff1d(link[same], link[~same])
        # Of two classes that could both hand their relation on, one does.
        good = good[~(np.isin((good % classes) * classes + good // classes, good) & (good // classes < good % classes))]
        if not len(good):
            continue
        moved = np.isin(graph.cls[source] * classes + graph.cls[target], good)
        kept = np.ones(len(graph.u), bool)
        kept[place[moved]] = False
        handed = np.flatnonzero(moved & (lead[source] == source))
        tags = graph.cls[source[handed]]
        back = np.concatenate([graph.vu, graph.uv])[handed]
        graph.change(kept, above[source[handed]], target[handed], mixed(3, code[handed], tags), mixed(4, back, tags))
        return True
    return False


def determine(graph: Graph) -> bool:
    """Removes classes whose members have two neighbours, which identify each of them."""
    source, target, code, _ = graph.directed()
    degree = np.bincount(source, minlength=len(graph.cls))
    inner = np.zeros(len(graph.size), bool)
    inner[graph.cls[source[graph.cls[source] == graph.cls[target]]]] = True
    picked = (degree[source] == 2) & ~graph.holds[source]
    picked &= ~inner[graph.cls[source]]
    # A class is taken whole or not at all: one that holds others cannot be identified.
    held = np.zeros(len(graph.size), bool)
    active = np.flatnonzero(graph.cls != GONE)
    held[graph.cls[active[graph.holds[active]]]] = True
    picked &= ~held[graph.cls[source]]
    if not picked.any():
        return False
    source, target, code = source[picked], target[picked], code[picked]
    order = np.lexsort((code, graph.cls[target], source))
    node, a, b = source[order][::2], target[order][::2], target[order][1::2]
    kinds = np.stack([graph.cls[target[order]].astype(np.uint64), code[order]])
    ordered = (kinds[:, ::2] != kinds[:, 1::2]).any(0)
    key = mixed(graph.cls[node], a, b)
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    bad = np.zeros(len(graph.size), bool)
    bad[graph.cls[node[~ordered | (counts[inverse] > 1)]]] = True
    good = ~bad[graph.cls[node]]
    if not good.any():
        return False
    graph.determine(node[good], a[good], b[good])
    return True


def freeze(graph: Graph) -> None:
    """Fixes all members of a class in each part of the graph, the smallest: a smaller group, and a sound one."""
    parts = UnionFind()
    parts.new(len(graph.cls))
    parts.union(graph.u, graph.v)
    nodes = once(np.concatenate([graph.u, graph.v]))
    part = parts.find(nodes)
    cls = graph.cls[nodes]
    order = np.lexsort((cls, graph.size[cls], part))
    first = order[np.flatnonzero(np.r_[True, part[order][1:] != part[order][:-1]])]
    graph.fix(np.flatnonzero(np.isin(graph.cls, cls[first])))


def _oriented(graph: Graph) -> tuple[Ints, Ints, Hash, Hash]:
    """For each pair its classes a ≤ b and the codes from a to b and back; within a class the smaller code first."""
    a, b = graph.cls[graph.u], graph.cls[graph.v]
    turned = (a > b) | ((a == b) & (graph.uv > graph.vu))
    return (
        np.where(turned, b, a),
        np.where(turned, a, b),
        np.where(turned, graph.vu, graph.uv),
        np.where(turned, graph.uv, graph.vu),
    )


def _coverage(graph: Graph, a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """For each two classes that are related: how many pairs there could be and are; and which two each pair is of."""
    key, pairs, total = np.unique(a * len(graph.size) + b, return_inverse=True, return_counts=True)
    left, right = graph.size[key // len(graph.size)], graph.size[key % len(graph.size)]
    whole = np.where(key // len(graph.size) == key % len(graph.size), left * (left - 1) // 2, left * right)
    return whole, total, pairs
