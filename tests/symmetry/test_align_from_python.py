"""`align` of paths, state dicts and modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nfn_cli import NfnError, align, canonicalize


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


def test_a_module_is_given_back_as_a_new_module() -> None:
    model = net()
    normal = canonicalize(model)
    before = normal[0].weight.clone()
    back = align(model, normal)
    assert type(back) is nn.Sequential
    assert all(torch.allclose(own, model.state_dict()[name], atol=1e-5) for name, own in back.state_dict().items())
    assert torch.equal(normal[0].weight, before)


def test_state_dicts_and_paths(tmp_path: Path) -> None:
    one, two = net().state_dict(), net().state_dict()
    save_file(one, tmp_path / "one.safetensors", {"activation": "relu"})
    near = align(one, two, activation="relu")
    assert list(near) == list(two)
    permuted = align(tmp_path / "one.safetensors", two, scale=False, activation="relu")
    assert torch.equal(permuted["4.bias"], two["4.bias"])
    assert torch.equal(permuted["0.bias"].sort().values, two["0.bias"].sort().values)
    middle = align(one, two, interpolate=0.25, activation="relu")
    for name, own in middle.items():
        assert torch.allclose(own, 0.75 * one[name] + 0.25 * near[name], atol=1e-7)


def test_refusals() -> None:
    with pytest.raises(NfnError, match="interpolate: 2 is not between A and B; give a number from 0 to 1"):
        align(net(), net(), interpolate=2)
    with pytest.raises(NfnError, match="it has 3 layers, the other 2"):
        align(net(), net()[2:])
