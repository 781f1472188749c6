"""The verdict on two networks."""

from __future__ import annotations

import pytest
import torch
from kin import disguised, noisy, read, weights

from nfn_cli.symmetry.kinship import Verdict, compare_networks, family_of
from nfn_cli.symmetry.kinship.null import families

KINDS = ("mlp", "cnn", "residual", "gated")


@pytest.mark.parametrize("kind", KINDS)
def test_a_disguised_copy_is_the_same(kind: str) -> None:
    own = weights(kind, 0)
    found = compare_networks(read(kind, own), read(kind, disguised(kind, own)))
    assert found.verdict is Verdict.same
    assert found.deviation is not None and found.tolerance is not None and found.deviation <= found.tolerance
    assert found.after is not None and found.before is not None and found.after < found.before


@pytest.mark.parametrize("kind", ["mlp", "cnn", "residual"])
def test_a_disguised_child_is_derived(kind: str) -> None:
    own = weights(kind, 0)
    found = compare_networks(read(kind, own), read(kind, disguised(kind, noisy(own, 0.4))))
    assert found.verdict is Verdict.derived
    assert found.score is not None and found.score >= families()[found.family or ""].threshold
    assert found.false_positive_rate is not None and found.false_positive_rate <= 0.06
    assert {layer.name for layer in found.layers} >= {name.rpartition(".")[0] for name in own if "weight" in name}


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_kept_its_coordinates_is_derived_by_the_exact_test(kind: str) -> None:
    own = weights(kind, 0)
    found = compare_networks(read(kind, own), read(kind, noisy(own, 1.0)))
    assert found.verdict is Verdict.derived
    assert found.log10_p is not None and found.log10_p < -6


@pytest.mark.parametrize("kind", ["mlp", "cnn", "residual"])
def test_strangers_are_independent(kind: str) -> None:
    found = compare_networks(read(kind, weights(kind, 0)), read(kind, weights(kind, 1)))
    assert found.verdict is Verdict.independent
    assert found.log10_p is None or found.log10_p > -3


def test_a_kind_without_a_null_is_not_judged_by_little() -> None:
    reference = read("gated", weights("gated", 0))
    assert family_of(reference) is None
    assert compare_networks(reference, read("gated", weights("gated", 1))).verdict is Verdict.unknown
    near = disguised("gated", noisy(weights("gated", 0), 0.2))
    found = compare_networks(reference, read("gated", near))
    assert (found.verdict, found.false_positive_rate) == (Verdict.derived, None)


def test_other_shapes_cannot_be_told() -> None:
    found = compare_networks(read("mlp", weights("mlp", 0)), read("cnn", weights("cnn", 0)))
    assert found.verdict is Verdict.unknown and found.score is None and found.cause


def test_coordinates_as_they_are_hide_a_disguised_copy() -> None:
    own = weights("mlp", 0)
    found = compare_networks(read("mlp", own), read("mlp", disguised("mlp", own)), basis="exact")
    assert found.verdict is not Verdict.same
    assert found.before == found.after


def test_the_total_change_is_never_larger_after_alignment() -> None:
    for seed in range(6):
        own = weights("mlp", seed)
        other = noisy(own, 0.3 * seed, seed)
        found = compare_networks(read("mlp", own), read("mlp", other))
        assert found.after is not None and found.before is not None and found.after <= found.before


def test_the_null_is_whole() -> None:
    for name, null in families().items():
        assert null.models >= 2 * len(null.scores) > 0, name
        assert null.recipes
        assert max(null.scores) < null.threshold < 0.6
        assert null.rate(1.1) == 1 / (len(null.scores) + 1)
        assert null.rate(-1.0) == 1


def test_weights_that_are_no_numbers_do_not_break_it() -> None:
    own = weights("mlp", 0)
    bad = {name: torch.full_like(tensor, torch.nan) for name, tensor in own.items()}
    found = compare_networks(read("mlp", own), read("mlp", bad))
    assert found.verdict in (Verdict.unknown, Verdict.independent)


def test_a_table_that_a_formula_fills_is_no_kinship() -> None:
    own, other = weights("gated", 0), weights("gated", 1)
    positions = torch.arange(9.0)[None] * torch.arange(1, 13)[:, None]
    own["inputs.weight"] = other["inputs.weight"] = positions.sin()
    found = compare_networks(read("gated", own), read("gated", other))
    assert found.verdict is Verdict.unknown
    assert found.score is not None and found.score < 0.3
    assert found.log10_p is None or found.log10_p > -3


@pytest.mark.parametrize("kind", ["mlp", "residual"])
def test_a_new_head_on_the_same_network_is_derived(kind: str) -> None:
    own, other = weights(kind, 0), weights(kind, 1)
    head = {name: tensor for name, tensor in other.items() if name.startswith(("head.", "4."))}
    found = compare_networks(read(kind, own), read(kind, disguised(kind, own | head)))
    assert found.verdict is Verdict.derived
    layer = max(found.layers, key=lambda own: own.changed)
    assert layer.name in ("head", "4")
