"""Which pairs of networks are worth an alignment: all of them while they are few, else those with near signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.symmetry.kinship.signature import Signature

_CHUNK = 1 << 22  # distances at once
_FLAT = 1e-8  # of the largest variance: what is less is rounding
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Pairs to look at.

    Attributes:
        pairs: places, the smaller one first; the likeliest pairs of large folders come first.
        possible: how many pairs of one architecture there are.
    """

    pairs: tuple[tuple[int, int], ...]
    possible: int

    @property
    def complete(self) -> bool:
        """Whether no pair of one architecture is left out."""
        return len(self.pairs) == self.possible


def kin_candidates(signatures: Sequence[Signature], most: int) -> Candidates:
    """The pairs to compare.

    Args:
        signatures: one an orbit.
        most: how many pairs at most. If there are more, those of the nearest neighbours come first, then those of the
            second nearest, and so on.

    >>> near = [Signature("a", (value,), 0, 0) for value in (1.0, 5.0, 1.1)]
    >>> kin_candidates(near, 1).pairs, kin_candidates(near, 3).complete
    (((0, 2),), True)
    """
    kinds: dict[str, list[int]] = {}
    for place, signature in enumerate(signatures):
        kinds.setdefault(signature.architecture, []).append(place)
    possible = sum(len(own) * (len(own) - 1) // 2 for own in kinds.values())
    if possible <= most:
        every = [(one, other) for own in kinds.values() for at, one in enumerate(own) for other in own[at + 1 :]]
        return Candidates(tuple(sorted(every)), possible)
    ranked: dict[tuple[int, int], tuple[int, float]] = {}
    for own in kinds.values():
        count = min(len(own) - 1, 1 + 2 * most // len(own))
        if count < 1:
            continue
        neighbours, distances = _nearest(np.array([signatures[place].values for place in own]), count)
        for row, one in enumerate(own):
            for rank in range(count):
                other = own[neighbours[row, rank]]
                pair = (min(one, other), max(one, other))
                ranked[pair] = min(ranked.get(pair, (count, np.inf)), (rank, float(distances[row, rank])))
    order = sorted(ranked, key=lambda pair: (ranked[pair], pair))
    return Candidates(tuple(order[:most]), possible)


def _nearest(values: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """The nearest rows of each row, the nearest first, and their distances, [rows, count].

    Distances are measured in units of how the rows vary, so that no common direction outweighs the others.
    """
    white = _whitened(values)
    squares = np.square(white).sum(1)
    found, distances = [], []
    step = max(1, _CHUNK // len(white))
    for start in range(0, len(white), step):
        part = squares[start : start + step, None] + squares - 2 * white[start : start + step] @ white.T
        part[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        chosen = np.argpartition(part, count - 1, axis=1)[:, :count]
        own = np.take_along_axis(part, chosen, 1)
        order = np.argsort(own, axis=1, kind="stable")
        found.append(np.take_along_axis(chosen, order, 1))
        distances.append(np.take_along_axis(own, order, 1))
    return np.concatenate(found), np.concatenate(distances)


def _whitened(values: Floats) -> Floats:
    centred: Floats = values - values.mean(0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances > _FLAT * max(float(variances.max(initial=0.0)), np.finfo(np.float64).tiny)
    white: Floats = centred @ directions[:, kept] / np.sqrt(variances[kept])
    return white
