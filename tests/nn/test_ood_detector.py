"""The rule that tells a population's networks from others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfn_cli.nn import OODDetector

FEATURES = 6


def drawn(count: int, seed: int) -> Tensor:
    """Invariants whose second column is the square of the first: no linear relation, and no column alone is odd."""
    rows = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))
    rows[:, 1] = rows[:, 0].square() + 0.1 * rows[:, 1]
    return rows


def mixed(count: int, seed: int) -> Tensor:
    """The same columns, of different networks: as far out as the population's own."""
    rows = drawn(count, seed)
    rows[:, 1] = rows[torch.randperm(count, generator=torch.Generator().manual_seed(seed)), 1]
    return rows


def fitted(outsiders: Tensor | None) -> OODDetector:
    rule = OODDetector(FEATURES)
    rule.fit(drawn(1_000, 0), drawn(400, 1), None if outsiders is None else outsiders.view(-1, 1_000, FEATURES))
    return rule


def flagged(rule: OODDetector, rows: Tensor) -> float:
    return 1 - rule.contains(rows).double().mean().item()


def test_few_of_its_own_and_all_far_ones_are_flagged() -> None:
    rule = fitted(None)
    assert flagged(rule, drawn(1_000, 2)) < 0.03
    assert flagged(rule, drawn(1_000, 2) + torch.tensor([0, 0, 20.0, 0, 0, 0])) == 1


def test_outsiders_in_its_midst_are_told_by_what_was_learned_of_others_alone() -> None:
    assert flagged(fitted(None), mixed(1_000, 3)) < 0.1
    rule = fitted(mixed(3_000, 4))
    assert flagged(rule, mixed(1_000, 3)) > 0.3
    assert flagged(rule, drawn(1_000, 2)) < 0.04
    assert flagged(rule, 100 * drawn(100, 5)) > 0.9  # far beyond all that was learnt from


def test_the_same_seed_gives_the_same_rule_and_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    first = fitted(mixed(1_000, 4)).state_dict()
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))
    second = fitted(mixed(1_000, 4)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_constant_invariant_tells_nothing() -> None:
    rule = OODDetector(FEATURES)
    training, calibration = drawn(200, 0), drawn(100, 1)
    training[:, 3] = calibration[:, 3] = 2.0
    rule.fit(training, calibration, mixed(200, 4)[None])
    changed = calibration.clone()
    changed[:, 3] += 1e-6  # rounding
    assert torch.equal(rule.contains(changed), rule.contains(calibration))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_outside(value: float) -> None:
    rows = drawn(3, 2)
    rows[1, 2] = value
    assert not fitted(mixed(1_000, 4)).contains(rows)[1]


def test_heads_of_before_keep_their_rule() -> None:
    rows = 50 * drawn(300, 2) + 20  # not standardised
    mean, whitening = rows.mean(0), torch.linalg.cholesky(torch.linalg.inv(torch.cov(rows.T)))
    distance = torch.linalg.vector_norm((rows - mean) @ whitening, dim=1)
    limit = distance.median()
    with torch.device("meta"):
        outer = torch.nn.ModuleDict({"population": OODDetector(FEATURES)})
    tensors = {"population.mean": mean, "population.whitening": whitening, "population.limit": limit}
    outer.load_state_dict(tensors, assign=True)
    assert torch.equal(outer["population"].contains(rows), distance <= limit)


def test_a_head_that_lacks_part_of_the_rule_is_refused() -> None:
    tensors = fitted(mixed(1_000, 4)).state_dict()
    tensors.pop("discriminator.weight_1")
    with pytest.raises(RuntimeError, match=r"discriminator\.weight_1"):
        OODDetector(FEATURES).load_state_dict(tensors)
