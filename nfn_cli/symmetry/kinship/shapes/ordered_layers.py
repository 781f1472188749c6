"""Which layers of one network correspond to which of another, where layers were added, removed or copied.

>>> import torch
>>> alike = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.0, 0.8]])
>>> ordered_layers(alike).pairs
((0, 0), (None, 1), (1, 2))
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nfn_cli.symmetry.kinship.shapes.part import Unmatched

ALIKE = 0.3  # layers that are less similar are not taken for one another
_ENOUGH = 0.45  # what the layers of the shallower network must have for similarity, in the mean
_MARGIN = 0.05  # of the total, by which the best pairs must be better than any others


@dataclass(frozen=True)
class Ordered:
    """Layers in order.

    Attributes:
        pairs: (layer of A, layer of B), in the order of both; None where the other network has no such layer.
        twins: (layer of A, layer of B) that would do as well: copies of one layer, of which the more similar one was
            taken.
    """

    pairs: tuple[tuple[int | None, int | None], ...]
    twins: tuple[tuple[int, int], ...]


def ordered_layers(similarity: Tensor) -> Ordered | Unmatched:
    """Match the layers of two networks in order, by dynamic programming.

    Pairs are taken so that the sum of (similarity − 0.3) is largest. As many unmatched layers on both sides between two
    pairs, or at an end, are taken for one another in order: they were replaced or changed beyond recognition.

    Args:
        similarity: of each layer of A with each of B, [layers of A, layers of B], at most 1.

    Returns:
        The pairs, or why it is not clear which they are.
    """
    best, total = _best(similarity)
    if not best:
        return Unmatched("no layer of the one is like a layer of the other")
    if sum(similarity[pair].item() for pair in best) < _ENOUGH * min(similarity.shape):
        return Unmatched("too few layers of the one are like layers of the other")
    twins: dict[tuple[int, int], None] = {}
    for a, b in best:
        other, theirs = _best(similarity, without=(a, b))
        if total - theirs >= _MARGIN:
            continue
        changed = [pair for pair in other if pair not in best]
        copied = _copies(similarity, changed, 0) or _copies(similarity, changed, 1)
        if len(other) != len(best) or not copied:
            rivals = ", ".join(f"{one} with {two}" for one, two in changed[:3])
            cause = f"other pairs are as likely ({rivals})" if rivals else "it may have none"
            return Unmatched(f"it is not clear which layer corresponds to layer {a} of the one: {cause}")
        twins |= dict.fromkeys(changed)
    return Ordered(_filled(best, *similarity.shape), tuple(twins))


def _copies(similarity: Tensor, pairs: list[tuple[int, int]], axis: int) -> bool:
    """Whether of each pair one layer (of B for axis 0, of A for axis 1) is like the other and like no layer beside."""
    for pair in pairs:
        rivals = similarity.select(1 - axis, pair[1 - axis]).clone()
        own = rivals[pair[axis]].item()
        rivals[pair[axis]] = -1.0
        if own - rivals.max().item() < _MARGIN:
            return False
    return True


def _best(similarity: Tensor, without: tuple[int, int] | None = None) -> tuple[list[tuple[int, int]], float]:
    """The pairs of the largest sum, and the sum."""
    gain = (similarity.double() - ALIKE).tolist()
    if without is not None:
        gain[without[0]][without[1]] = -1.0
    rows, columns = similarity.shape
    sums = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for a in range(rows):
        for b in range(columns):
            sums[a + 1][b + 1] = max(sums[a][b + 1], sums[a + 1][b], sums[a][b] + gain[a][b])
    pairs, a, b = [], rows, columns
    while a and b:
        if sums[a][b] == sums[a - 1][b]:
            a -= 1
        elif sums[a][b] == sums[a][b - 1]:
            b -= 1
        else:
            a, b = a - 1, b - 1
            pairs.append((a, b))
    return pairs[::-1], sums[rows][columns]


def _filled(best: list[tuple[int, int]], rows: int, columns: int) -> tuple[tuple[int | None, int | None], ...]:
    """The pairs, and what lies between them."""
    pairs: list[tuple[int | None, int | None]] = []
    a = b = 0
    for next_a, next_b in [*best, (rows, columns)]:
        if next_a - a == next_b - b:
            pairs += zip(range(a, next_a), range(b, next_b), strict=True)
        else:
            pairs += [(own, None) for own in range(a, next_a)] + [(None, own) for own in range(b, next_b)]
        if next_a < rows:
            pairs.append((next_a, next_b))
        a, b = next_a + 1, next_b + 1
    return tuple(pairs)
