"""Chains of other widths are compared on the neurons that both have."""

from __future__ import annotations

import pytest
import torch
from small_chains import disguised, mlp, opened, pruned, trained
from torch import nn

from nfn_cli.symmetry import Source
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.kinship.shapes import CommonPart, Unmatched, common_part

WIDTHS = (24, 16)


def kept_of(part: Source, whole: Source) -> list[set[int]]:
    """The places of the part's first-layer rows in the whole."""
    rows = whole.checkpoint.tensors["0.weight"]
    return [set((rows == row).all(1).nonzero()[:, 0].tolist()) for row in part.checkpoint.tensors["0.weight"]]


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("grown", [False, True])
def test_a_quarter_of_the_neurons_pruned_and_the_rest_disguised(activation: str, grown: bool) -> None:
    act = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[activation]
    whole = trained(mlp(*WIDTHS, act=act), 50).state_dict()
    generator = torch.Generator().manual_seed(1)
    kept = [torch.randperm(width, generator=generator)[: 3 * width // 4] for width in WIDTHS]
    child = mlp(18, 12, act=act)
    child.load_state_dict(pruned(whole, kept, ["0", "2", "4"]))
    a, b = opened(whole, activation), disguised(opened(trained(child, 5).state_dict(), activation))
    found = common_part(b, a) if grown else common_part(a, b)
    assert isinstance(found, CommonPart)
    large, small = (found.source, found.reference) if grown else (found.reference, found.source)
    assert dict(small.checkpoint.tensors).keys() == dict(b.checkpoint.tensors).keys()
    assert all(torch.equal(small.checkpoint.tensors[name], own) for name, own in b.checkpoint.tensors.items())
    assert isinstance(large, Source)
    assert set.union(*kept_of(large, a)) == set(kept[0].tolist())
    assert "18 of 24 in 0, 12 of 16 in 2" in found.assumed
    assert found.layers == (("0", "0"), ("2", "2"), ("4", "4"))
    near = align_to(found.reference, found.source)
    assert near.after < 0.15 < 0.5 < near.before


def test_convolutions_with_batchnorm_and_a_flatten() -> None:
    def cnn(first: int, second: int) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, first, 3, 2, 1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, 2, 1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * second, 4),
        )

    whole = trained(cnn(12, 16), 30, (1, 8, 8)).state_dict()
    kept = [torch.tensor([11, 3, 5, 7, 0, 1, 2, 9, 8]), torch.arange(16).flip(0)[:12]]
    layers = ["0", "3", "7"]
    state = pruned(whole, kept, layers, repeat=4)
    for norm, own in zip(("1", "4"), kept, strict=True):
        state |= {name: whole[name][own] for name in whole if name.startswith(f"{norm}.") and whole[name].ndim}
    child = cnn(9, 12)
    child.load_state_dict(state)
    a, b = opened(whole), disguised(opened(trained(child, 3, (1, 8, 8)).state_dict()))
    found = common_part(a, b)
    assert isinstance(found, CommonPart) and isinstance(found.reference, Source)
    assert set.union(*kept_of(found.reference, a)) == set(kept[0].tolist())
    assert found.reference.checkpoint.tensors["7.weight"].shape == (4, 48)
    assert found.reference.network.norms.keys() == {"0", "3"}
    assert align_to(found.reference, found.source).after < 0.2


def test_one_layer_wider_and_another_narrower() -> None:
    found = common_part(opened(mlp(24, 12).state_dict()), opened(mlp(18, 16, seed=1).state_dict()))
    assert isinstance(found, CommonPart) and isinstance(found.reference, Source) and isinstance(found.source, Source)
    assert found.reference.network.weights.architecture.hidden_widths == (18, 12)
    assert found.source.network.weights.architecture.hidden_widths == (18, 12)


def test_another_kind_of_network_has_no_common_part() -> None:
    a = opened(mlp(8, 8).state_dict())
    cases = {
        "activation": opened(mlp(9, 8).state_dict(), "tanh"),
        "differ in more than hidden widths": opened(
            nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).state_dict()
        ),
    }
    for cause, b in cases.items():
        found = common_part(a, b)
        assert isinstance(found, Unmatched)
        assert cause in found.cause
