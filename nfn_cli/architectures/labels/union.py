"""Numbers that turn out to stand for one thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int64]


class UnionFind:
    """Disjoint sets over growing ids; the smallest id of a set stands for it.

    >>> sets = UnionFind()
    >>> a, b = sets.new(3), sets.new(3)
    >>> sets.union(b, a)
    >>> sets.find(b).tolist()
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._parent = np.zeros(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def new(self, n: int) -> Ids:
        """`n` new ids, int64 [n], each a set of its own."""
        ids = np.arange(self._count, self._count + n, dtype=np.int64)
        self._count += n
        if self._count > len(self._parent):
            grown = np.arange(max(self._count, 2 * len(self._parent)), dtype=np.int64)
            grown[: len(self._parent)] = self._parent
            self._parent = grown
        return ids

    def find(self, ids: ArrayLike) -> Ids:
        """The id that stands for the set of each, int64 of the same shape.

        Raises:
            IndexError: an id was never given out.
        """
        asked = np.asarray(ids, np.int64)
        if asked.size and not (asked.min() >= 0 and asked.max() < self._count):
            raise IndexError("no such id")
        found = self._parent[asked]
        while True:
            further = self._parent[found]
            if np.array_equal(further, found):
                break
            found = further
        self._parent[asked] = found
        return found

    def union(self, a: ArrayLike, b: ArrayLike) -> None:
        """Joins the sets of a[i] and b[i], entry by entry of the arrays, which broadcast."""
        left, right = (x.ravel() for x in np.broadcast_arrays(np.asarray(a, np.int64), np.asarray(b, np.int64)))
        left, right = self.find(left), self.find(right)
        while True:
            apart = left != right
            left, right = left[apart], right[apart]
            if not left.size:
                return
            low, high = np.minimum(left, right), np.maximum(left, right)
            np.minimum.at(self._parent, high, low)
            # Roots that were hung below each other in a row: halve their way until they hang from the top.
            while True:
                above = self._parent[self._parent[high]]
                if np.array_equal(above, self._parent[high]):
                    break
                self._parent[high] = above
            left, right = self.find(low), self.find(high)
            # Some pairs lost the race for their parent, and are joined in the next round.

    def snapshot(self) -> Ids:
        """The sets as they are, for `restore`."""
        return self._parent[: self._count].copy()

    def restore(self, snapshot: Ids) -> None:
        """The sets as they were."""
        self._parent[: len(snapshot)] = snapshot
