"""The permutations of labels that keep all relations, as nested symmetric groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.forest import forest, visible_part
from nfn_cli.architectures.labels.graph import Graph
from nfn_cli.architectures.labels.group import Block
from nfn_cli.architectures.labels.hashing import Hash, Ints, mixed, once
from nfn_cli.architectures.labels.permuting import permutation, random_places
from nfn_cli.architectures.labels.rules import (
    complement,
    determine,
    drop_complete,
    freeze,
    lift,
    merge_matchings,
    peel_twins,
)
from nfn_cli.architectures.labels.spec import NONE, LabelledTensor, Relations
from nfn_cli.errors import ArchitectureError

_RULES = (drop_complete, merge_matchings, peel_twins, lift, determine, complement)


def solve_permutations(
    relations: Relations,
    tensors: Sequence[LabelledTensor],
    origins: NDArray[np.int32],
    origin_names: Sequence[str],
) -> tuple[tuple[Block, ...], NDArray[np.int32]]:
    """The permutations that keep the relations and the tensors' roles, as far as nested blocks can express them.

    Every element of the forest keeps all relations. It is the whole group, but where a part of the relations is no
    tree, grid or matching of classes: there some labels stay fixed that could move.

    Args:
        relations: over labels 0 … count − 1; those that occur nowhere are fixed.
        tensors: what the labels are seen in: a block that moves nothing in them is left out.
        origins: int32 [count], each label's place in `origin_names`.
        origin_names: a block has the name of its smallest label's origin.

    Returns:
        The blocks, and the rows (label, a, b), int32 [m, 3], of labels that follow from others, as
        `LabelledArchitecture` has them. What a row says may follow from labels of other rows, and a label may have
        several rows, which agree: `permutation` reads them.

    Raises:
        IndexError: a label is not among 0 … count − 1.
        ArchitectureError: an element of what was found does not keep the relations (an error of this program).
    """
    count = relations.count
    colour, present, visible = _colours(relations, tensors)
    pairs = _pairs(relations, present)
    names = _Names(origins, origin_names)
    # Nearly all grids are determined by their rows; where one cannot, one of its sides stays fixed instead.
    for rules in (_RULES, tuple(rule for rule in _RULES if rule is not determine)):
        graph = Graph(colour.copy(), present, pairs)
        while graph.refine():
            if not any(rule(graph) for rule in rules):
                freeze(graph)
        try:
            whole = forest(graph, count, names)
            if _keep(*whole, colour, pairs):
                return visible_part(*whole, visible)
        except ValueError:  # like units are not alike, or a label has no row
            pass
    raise ArchitectureError(
        "the network", "the permutations found for it do not keep its own relations", "report this as a fault of nfn"
    )


def log10_order(blocks: Sequence[Block]) -> float:
    """log₁₀ of how many permutations a forest of blocks has."""
    return sum(block.units // block.n * math.lgamma(block.n + 1) for block in blocks) / math.log(10)


class _Names(Sequence[str]):
    """The name of each label's origin, without a list as long as the labels."""

    def __init__(self, origins: NDArray[np.int32], names: Sequence[str]) -> None:
        self._origins, self._names = origins, names

    def __len__(self) -> int:
        return len(self._origins)

    def __getitem__(self, label: int) -> str:  # type: ignore[override]
        return self._names[int(self._origins[label])]


def _colours(
    relations: Relations, tensors: Sequence[LabelledTensor]
) -> tuple[Hash, NDArray[np.bool_], NDArray[np.bool_]]:
    """A hash of each label's colours, whether it occurs anywhere, and whether a tensor shows it. [count] each."""
    colour = np.zeros(relations.count, np.uint64)
    present = np.zeros(relations.count, bool)
    number = 0
    for labels, colours in relations.colours:
        number += 1
        _add_colours(colour, present, labels, colours, number)
    visible = np.zeros(relations.count, bool)
    for tensor in tensors:
        for use in tensor.uses:
            for role in use.roles:
                number += 1
                labels = role.labels.astype(np.int64).ravel()
                slots = np.zeros_like(labels) if role.slots is None else role.slots.astype(np.int64).ravel()
                some = labels != NONE
                _add_colours(colour, visible, labels[some], slots[some], number)
    for edge in relations.edges:
        for labels in edge:
            _look(labels, relations.count)
            present[labels] = True
    return colour, present | visible, visible


def _add_colours(colour: Hash, met: NDArray[np.bool_], labels: Ints, colours: Ints, number: int) -> None:
    """Adds a set of colours to the hashes of labels, entry by entry of the arrays."""
    labels, codes = np.broadcast_arrays(labels, mixed(number, colours).reshape(np.shape(colours)))
    labels, codes = labels.ravel(), codes.ravel()
    _look(labels, len(colour))
    order = np.lexsort((codes, labels))
    labels, codes = labels[order], codes[order]
    first = np.r_[True, (labels[1:] != labels[:-1]) | (codes[1:] != codes[:-1])][: len(labels)]
    np.add.at(colour, labels[first], codes[first])
    met[labels] = True


def _look(labels: Ints, count: int) -> None:
    """Refuses labels that there are not: as places they would count from the end."""
    if labels.size and not (labels.min() >= 0 and labels.max() < count):
        raise IndexError("no such label")


def _pairs(relations: Relations, present: NDArray[np.bool_]) -> tuple[Ints, Ints, Hash, Hash]:
    """All edges as pairs of labels with the codes of the relation from either side."""
    count = max(relations.count, 1)
    u, v, uv, vu = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for number, (a, b) in enumerate(relations.edges):
        left, right = np.broadcast_arrays(np.asarray(a, np.int64), np.asarray(b, np.int64))
        key = once(left.ravel() * count + right.ravel())
        u.append(key // count)
        v.append(key % count)
        uv.append(np.repeat(mixed(1, number), len(key)))
        vu.append(np.repeat(mixed(2, number), len(key)))
    return np.concatenate(u), np.concatenate(v), np.concatenate(uv), np.concatenate(vu)


def _keep(
    blocks: Sequence[Block], determined: NDArray[np.int32], colour: Hash, pairs: tuple[Ints, Ints, Hash, Hash]
) -> bool:
    """Whether random elements keep all colours and edges."""
    count = len(colour)
    u, v, code, _ = pairs
    before = np.sort(mixed(u, v, code))
    # An element moves nearly all that can move of a large network; of a small one, several do.
    for seed in range(1 if count > 100_000 else 3):
        sigma = permutation(blocks, determined, random_places(blocks, np.random.default_rng(seed)), count)
        if not (np.array_equal(np.sort(sigma), np.arange(count)) and np.array_equal(colour[sigma], colour)):
            return False
        if not np.array_equal(np.sort(mixed(sigma[u], sigma[v], code)), before):
            return False
    return True
