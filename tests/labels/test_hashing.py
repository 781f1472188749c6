"""What stands in for `numpy.unique`."""

from __future__ import annotations

import numpy as np
import pytest

from nfn_cli.architectures.labels.hashing import firsts, mixed, once, several


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_as_unique_has_them(size: int) -> None:
    values = np.random.default_rng(0).integers(0, 300, size)
    known, first = np.unique(values, return_index=True)
    np.testing.assert_array_equal(firsts(values), np.sort(first))
    np.testing.assert_array_equal(once(values), known)
    assert several(values) == len(known)


def test_mixed_numbers_are_what_they_were() -> None:
    """Splitmix64: fingerprints of saved elements do not hang on it, but the order of units does."""
    before = np.arange(3)
    assert mixed(before, 7).tolist() == mixed(before.copy(), 7).tolist()
    assert before.tolist() == [0, 1, 2]
    state = (0x9E3779B97F4A7C15 * 1) % 2**64
    assert mixed(5).tolist() == [_scrambled(state ^ _scrambled((5 + state) % 2**64))]


def _scrambled(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)
