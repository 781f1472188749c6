"""`compare` of paths, state dicts and modules."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli import Kinship, NfnError, canonicalize, compare


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10))


def test_a_module_against_its_disguise_its_cast_a_relative_and_a_stranger() -> None:
    model = net()
    found = compare(model, canonicalize(model))
    assert found and found.verdict == "same"
    assert str(found).startswith("same function, as the chain 0 → 2 → 4 with relu (largest deviation ")
    cast = compare(model, {name: own.bfloat16() for name, own in model.state_dict().items()})
    assert cast and (cast.verdict, cast.rounded_to) == ("rounded", "bfloat16")
    noise = {name: own + 0.1 * own.std() * torch.randn_like(own) for name, own in model.state_dict().items()}
    relative = compare(model, noise)
    assert not relative and relative.verdict == "derived"
    assert relative.score is not None and relative.score > 0.9
    assert [layer.name for layer in relative.layers] == ["0", "2", "4"]
    stranger = compare(model, net(1))
    assert not stranger and stranger.verdict == "independent"
    assert stranger.after is not None and stranger.before is not None and stranger.after <= stranger.before


def test_paths_and_state_dicts(tmp_path: Path) -> None:
    state = net().state_dict()
    save_file(state, tmp_path / "a.safetensors", {"activation": "relu"})
    found = compare(tmp_path / "a.safetensors", state, activation="relu")
    assert (found.verdict, found.read_as) == ("same", "the chain 0 → 2 → 4 with relu")
    assert found.assumed is not None and found.assumed in str(found)
    assert compare(state, state, activation="relu", chain=True).assumed is None


def test_the_exact_basis() -> None:
    model = net()
    found = compare(model, canonicalize(model), basis="exact")
    assert found.verdict != "same"
    assert found.after == found.before


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.last(x + self.inner(x).relu())  # type: ignore[no-any-return]


def test_a_state_dict_is_read_by_the_module() -> None:
    torch.manual_seed(0)
    module = Skip()
    found = compare(canonicalize(module).state_dict(), module)
    assert (found.verdict, found.read_as) == ("same", "the module of Skip")


def test_what_is_returned_is_frozen() -> None:
    found = compare(net(), net())
    assert isinstance(found, Kinship)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = "derived"  # type: ignore[misc]


def test_refusals() -> None:
    with pytest.raises(NfnError, match="basis: 'near' is no basis; give aligned or exact"):
        compare(net(), net(), basis="near")  # type: ignore[arg-type]
    with pytest.raises(NfnError):
        compare("nowhere.pt", net())
    other = compare(net(), net()[2:])
    assert (other.verdict, bool(other)) == ("unknown", False)
    assert "it has 3 layers, the other 2" in str(other)
