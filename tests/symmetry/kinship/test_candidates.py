"""Which pairs are compared: all while they are few, else the nearest."""

from __future__ import annotations

import numpy as np

from nfn_cli.symmetry.kinship.candidates import kin_candidates
from nfn_cli.symmetry.kinship.signature import Signature


def signatures(values: np.ndarray, architecture: str = "a") -> list[Signature]:
    return [Signature(architecture, tuple(row), 0.0, 0.0) for row in values.tolist()]


def test_all_pairs_of_one_architecture() -> None:
    every = [*signatures(np.eye(3)), *signatures(np.eye(2), "b"), *signatures(np.eye(1), "c")]
    found = kin_candidates(every, 4)
    assert found.pairs == ((0, 1), (0, 2), (1, 2), (3, 4))
    assert found.complete and found.possible == 4


def test_the_nearest_where_there_are_too_many() -> None:
    values = np.random.default_rng(0).normal(size=(300, 5))
    values[150:] = values[:150] + 1e-3 * np.random.default_rng(1).normal(size=(150, 5))
    found = kin_candidates(signatures(values), 200)
    assert len(found.pairs) == 200 and not found.complete
    assert found.possible == 300 * 299 // 2
    assert {(place, place + 150) for place in range(150)} <= set(found.pairs)
    assert len(set(found.pairs)) == 200


def test_a_common_direction_does_not_outweigh_the_others() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 1)) * 100 + rng.normal(size=(100, 4)) * 0.1
    values = np.concatenate([values, values[:1] + np.array([[0.02, 0.01, 0.01, 0.01]])])
    assert (0, 100) in kin_candidates(signatures(values), 101).pairs


def test_none_and_one() -> None:
    assert kin_candidates([], 10).pairs == ()
    assert kin_candidates(signatures(np.eye(1)), 10).complete
    assert kin_candidates(signatures(np.eye(3)), 0).pairs == ()
    assert kin_candidates(signatures(np.ones((9, 4))), 3).possible == 36
