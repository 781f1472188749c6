"""Disjoint sets, against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from nfn_cli.architectures.labels import UnionFind


@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_of_a_set_stands_for_it(seed):
    rng = np.random.default_rng(seed)
    sets = UnionFind()
    of: dict[int, set[int]] = {}
    for _ in range(6):
        ids = sets.new(int(rng.integers(0, 20)))
        of.update({i: {i} for i in ids.tolist()})
        n = len(of)
        if not n:
            continue
        a, b = rng.integers(0, n, (2, int(rng.integers(0, 8))))
        sets.union(a, b)
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            joined = of[x] | of[y]
            for z in joined:
                of[z] = joined
        assert sets.find(np.arange(n)).tolist() == [min(of[i]) for i in range(n)]


def test_a_long_row_is_one_set():
    sets = UnionFind()
    ids = sets.new(100_000)
    shuffled = np.random.default_rng(0).permutation(ids)
    sets.union(shuffled[1:], shuffled[:-1])
    assert not sets.find(ids).any() and len(sets) == 100_000


def test_arrays_broadcast_and_keep_their_shape():
    sets = UnionFind()
    a = sets.new(6).reshape(2, 3)
    sets.union(a, a[:, :1])
    assert sets.find(a).tolist() == [[0, 0, 0], [3, 3, 3]]
    assert sets.find(5) == 3
    sets.union([], [])


@pytest.mark.parametrize("ids", [[3], [-1]])
def test_an_id_that_was_never_given_out_is_refused(ids):
    sets = UnionFind()
    sets.new(3)
    with pytest.raises(IndexError):
        sets.find(ids)
