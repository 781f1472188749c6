"""The kinship score: 1 for copies in any coordinates, chance for strangers, and where a layer was replaced."""

from __future__ import annotations

import pytest
import torch
from kin import disguised, noisy, read, weights

from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.kinship.pairing import pair_of
from nfn_cli.symmetry.kinship.score import Score, kinship_score
from nfn_cli.symmetry.sources import identity_of

KINDS = ("mlp", "cnn", "residual", "gated")


def aligned(kind: str, ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> Score:
    reference, source = read(kind, ours), read(kind, theirs)
    return kinship_score(pair_of(reference, source, compare_sources(source, reference).element))


def in_place(kind: str, ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> Score:
    reference, source = read(kind, ours), read(kind, theirs)
    return kinship_score(pair_of(reference, source, identity_of(source)), matching=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_scores_one_in_any_coordinates(kind: str) -> None:
    own = weights(kind, 0)
    assert in_place(kind, own, own).total == pytest.approx(1, abs=1e-6)
    assert aligned(kind, own, disguised(kind, own)).total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_score_about_nothing(kind: str) -> None:
    found = [aligned(kind, weights(kind, 2 * n), weights(kind, 2 * n + 1)).total for n in range(3)]
    assert all(own is not None and -0.15 < own < 0.15 for own in found)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_lowers_it_and_a_disguise_does_not(kind: str) -> None:
    own = weights(kind, 0)
    scores = [aligned(kind, own, noisy(own, share)).total for share in (0.25, 0.5)]
    hidden = [aligned(kind, own, disguised(kind, noisy(own, share))).total for share in (0.25, 0.5)]
    assert 0.4 < scores[1] < scores[0] < 1  # type: ignore[operator]
    assert hidden == pytest.approx(scores, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_as_they_are_show_nothing_of_a_disguise(kind: str) -> None:
    own = weights(kind, 0)
    moved = in_place(kind, own, disguised(kind, own)).total
    assert moved is not None and abs(moved) < 0.3
    near = in_place(kind, own, noisy(own, 0.25)).total
    assert near is not None and near > 0.8


@pytest.mark.parametrize(("kind", "layer"), [("mlp", "2"), ("cnn", "2"), ("residual", "one"), ("gated", "up")])
def test_a_replaced_layer_has_the_lowest_score(kind: str, layer: str) -> None:
    own, other = weights(kind, 0), weights(kind, 1)
    child = {name: other[name] if name.startswith(f"{layer}.") else tensor for name, tensor in own.items()}
    found = aligned(kind, own, disguised(kind, child)).tensors
    assert min(found, key=lambda name: found[name]) == f"{layer}.weight"
    assert found[f"{layer}.weight"] < 0.3


def test_a_network_of_zeros_has_no_score() -> None:
    own = {name: torch.zeros_like(tensor) for name, tensor in weights("mlp", 0).items()}
    reference = read("mlp", own)
    assert kinship_score(pair_of(reference, reference, identity_of(reference))).total is None
