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


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.fc = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.fc(x + torch.relu(self.inner(x)))


def test_the_point_between_of_modules_that_are_traced() -> None:
    one, two = Skip(), Skip()
    with torch.no_grad():  # units of the stream that moved together
        order = torch.randperm(6)
        near = {name: own + 0.01 * torch.randn_like(own) for name, own in one.state_dict().items()}
        moved = dict(near)
        for name in ("stem.weight", "stem.bias", "inner.weight", "inner.bias"):
            moved[name] = moved[name][order]
        for name in ("inner.weight", "fc.weight"):
            moved[name] = moved[name][:, order]
        two.load_state_dict(moved)
    middle = align(one, two, scale=False, interpolate=0.5)
    assert isinstance(middle, Skip)
    for name, own in middle.state_dict().items():
        assert torch.allclose(own, (one.state_dict()[name] + near[name]) / 2, atol=1e-7), name
