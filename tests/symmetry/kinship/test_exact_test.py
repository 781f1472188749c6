"""The exact test: its tail is the true one, its p-values are uniform for strangers, and a common origin is plain."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from kin import disguised, noisy, read, weights

import nfn_cli.symmetry.kinship.exact_test as exact_test
from nfn_cli.symmetry.kinship.exact_test import exact_log10_p, log10_tail
from nfn_cli.symmetry.kinship.pairing import pair_of
from nfn_cli.symmetry.sources import identity_of

KINDS = ("mlp", "cnn", "residual", "gated")


def p_of(kind: str, ours: dict, theirs: dict) -> float:  # type: ignore[type-arg]
    reference, source = read(kind, ours), read(kind, theirs)
    found = exact_log10_p(pair_of(reference, source, identity_of(source)))
    assert found is not None
    return found


@pytest.mark.parametrize("sizes", [[1], [2], [3], [4], [3, 4], [2, 2, 3]])
def test_the_tail_is_counted_right(sizes: list[int]) -> None:
    drawn = list(product(*[list(permutations(range(n))) for n in sizes]))
    fixed = [sum(sum(a == b for a, b in enumerate(own)) for own in some) for some in drawn]
    for least in range(sum(sizes) + 2):
        share = sum(count >= least for count in fixed) / len(drawn)
        found = log10_tail(sizes, least)
        assert found == pytest.approx(math.log10(share), abs=1e-9) if share else found == -math.inf


def test_the_bound_for_many_neurons_is_none_too_low(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = [log10_tail([30, 50], least) for least in range(81)]
    monkeypatch.setattr(exact_test, "_EXACT", 0)
    bounds = [log10_tail([30, 50], least) for least in range(81)]
    assert all(bound >= own - 1e-9 for own, bound in zip(exact, bounds, strict=True))
    assert bounds[20] < -10


@pytest.mark.parametrize("kind", KINDS)
def test_kept_coordinates_are_plain_and_a_disguise_hides_them(kind: str) -> None:
    own = weights(kind, 0)
    assert p_of(kind, own, noisy(own, 0.5)) < -8
    assert p_of(kind, own, disguised(kind, noisy(own, 0.5), 3)) > -3


def test_p_values_of_strangers_are_uniform() -> None:
    found = np.sort([10 ** p_of("mlp", weights("mlp", 2 * n), weights("mlp", 2 * n + 1)) for n in range(60)])
    # A discrete p-value is at least as large as a uniform one: no share of small ones is too large.
    for level in (0.05, 0.1, 0.3, 0.5):
        assert (found <= level).mean() <= level + 3 * math.sqrt(level * (1 - level) / 60)
    assert found.min() < 0.5  # and it is not always 1


def test_sorted_neurons_say_nothing() -> None:
    def ordered(seed: int) -> dict:  # type: ignore[type-arg]
        own = weights("mlp", seed)
        for first, bias, second in (("0.weight", "0.bias", "2.weight"), ("2.weight", "2.bias", "4.weight")):
            own[first] *= own[first].new_tensor(np.linspace(1, 3, len(own[first])))[:, None]
            own[bias] *= 0
            order = own[first].norm(dim=1).argsort()
            own[first], own[bias], own[second] = own[first][order], own[bias][order], own[second][:, order]
        return own

    reference, source = read("mlp", ordered(0)), read("mlp", ordered(1))
    assert exact_log10_p(pair_of(reference, source, identity_of(source))) is None
