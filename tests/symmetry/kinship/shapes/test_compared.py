"""The verdict on networks of different shapes."""

from __future__ import annotations

import torch
from small_chains import disguised, mlp, opened, pruned, trained

from nfn_cli.symmetry.kinship import Verdict, compare_networks


def test_a_pruned_child_is_derived_and_a_narrower_stranger_is_not() -> None:
    base = trained(mlp(32, 24), 60)
    whole = opened(base.state_dict())
    kept = [torch.randperm(width, generator=torch.Generator().manual_seed(1))[: 3 * width // 4] for width in (32, 24)]
    child = mlp(24, 18)
    child.load_state_dict(pruned(base.state_dict(), kept, ["0", "2", "4"]))
    found = compare_networks(whole, disguised(opened(trained(child, 5).state_dict())))
    assert found.verdict is Verdict.derived
    assert found.score is not None and found.score > 0.9
    assert found.assumed is not None and "24 of 32 in 0, 18 of 24 in 2" in found.assumed
    stranger = compare_networks(whole, opened(trained(mlp(24, 18, seed=1), 60).state_dict()))
    assert stranger.verdict is Verdict.unknown
    assert stranger.score is not None and stranger.score < 0.5


def test_where_it_is_not_clear_what_corresponds_nothing_is_told() -> None:
    a, b = (opened(trained(mlp(*widths, seed=len(widths)), 60).state_dict()) for widths in ((16, 16), (16, 16, 16)))
    found = compare_networks(a, b)
    assert found.verdict is Verdict.unknown
    assert found.score is None
    assert "no place for the other layers is likely" in found.cause
