"""A permutation of the labels from the positions that a forest of blocks gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.group import Block


def permutation(
    blocks: Sequence[Block], determined: NDArray[np.int32], positions: Sequence[NDArray[np.int64]], count: int
) -> NDArray[np.int64]:
    """Where each label goes, int64 [count].

    Args:
        positions: for each block int64 [units / n, n], a permutation in each row: the unit at position j in parent
            unit p goes to position `positions[p, j]` in the unit where p goes.
        determined: as in `LabelledArchitecture`; a row may follow from labels of others, but not in a circle.
        count: how many labels there are.

    Raises:
        ValueError: the rows do not say where each of their labels goes.
    """
    sigma = np.arange(count)
    goes: list[NDArray[np.int64]] = []
    for block, place in zip(blocks, positions, strict=True):
        above = np.zeros(1, np.int64) if block.parent is None else goes[block.parent]
        unit = (above[:, None] * block.n + place).ravel()
        goes.append(unit)
        sigma[block.labels] = block.labels[unit]
    rows = determined.astype(np.int64)
    waits = np.zeros(count, bool)
    waits[rows[:, 0]] = True
    key = rows[:, 1] * count + rows[:, 2]
    order = np.argsort(key, kind="stable")
    while len(rows):
        ready = ~(waits[rows[:, 1]] | waits[rows[:, 2]])
        if not ready.any():
            raise ValueError("labels follow from each other in a circle")
        want = sigma[rows[ready, 1]] * count + sigma[rows[ready, 2]]
        at = order[np.minimum(np.searchsorted(key[order], want), len(order) - 1)]
        if not np.array_equal(key[at], want):
            raise ValueError("no row says where a label goes")
        sigma[rows[ready, 0]] = determined[at, 0]
        waits[rows[ready, 0]] = False
        rows = rows[~ready]
    return sigma


def random_places(blocks: Sequence[Block], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Random positions for `permutation`, each of its permutations equally likely."""
    return [np.argsort(rng.random((block.units // block.n, block.n)), axis=1) for block in blocks]
