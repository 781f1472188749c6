"""Chains of which one has a layer more are compared without it."""

from __future__ import annotations

import pytest
import torch
from small_chains import disguised, mlp, opened, trained
from torch import nn

from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.kinship.shapes import CommonPart, Unmatched, common_part


def grown(module: nn.Sequential, place: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A layer more behind the hidden layer of this number, at first the identity."""
    layers = list(module)
    width = layers[2 * place].out_features
    new = nn.Linear(width, width)
    with torch.no_grad():
        new.weight.copy_(torch.eye(width) + 0.1 * torch.randn(width, width))
        new.bias.zero_()
    layers[2 * place + 1 : 2 * place + 1] = [act(), new]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("place", "deeper"), [(0, "b"), (1, "b"), (2, "a")])
def test_a_child_grown_by_a_layer(activation: str, place: int, deeper: str) -> None:
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    base = mlp(16, 16, 16, act=act)
    trained(base, 60)
    child = grown(base, place, act)
    a, b = opened(base.state_dict(), activation), opened(trained(child, 30).state_dict(), activation)
    b = disguised(b)
    found = common_part(a, b) if deeper == "b" else common_part(b, a)
    assert isinstance(found, CommonPart), found
    new = str(2 * place + 2)
    pairs = found.layers if deeper == "b" else tuple((two, one) for one, two in found.layers)
    assert [pair[1] for pair in pairs] == ["0", "2", "4", "6", "8"]
    assert [pair[1] for pair in pairs if pair[0] is None] == [new]
    assert [pair[0] for pair in pairs if pair[0] is not None] == ["0", "2", "4", "6"]
    near = align_to(found.reference, found.source)
    assert near.after < 0.35 < near.before


def test_two_strangers_have_no_place_for_the_layer() -> None:
    a, b = opened(trained(mlp(16, 16), 60).state_dict()), opened(trained(mlp(16, 16, 16, seed=1), 61).state_dict())
    found = common_part(a, b)
    assert isinstance(found, Unmatched)
    assert "no place for the other layers is likely" in found.cause


def test_other_widths_at_once_are_refused() -> None:
    found = common_part(opened(mlp(16, 16).state_dict()), opened(mlp(12, 12, 12).state_dict()))
    assert isinstance(found, Unmatched)
    assert "with others between them" in found.cause
