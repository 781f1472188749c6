"""Networks in memory are scored as files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nfn_cli import classify, score
from nfn_cli.errors import UsageError

Save = Callable[..., Path]


def mlp(activation: nn.Module, *, behind: nn.Module | None = None) -> nn.Module:
    layers = [nn.Linear(3, 6), activation, nn.Linear(6, 2), *([] if behind is None else [behind])]
    return nn.Sequential(*layers)


@pytest.mark.usefixtures("shipped")
def test_a_file_its_state_dict_and_its_module_have_one_prediction(save: Save) -> None:
    path = save("a.safetensors", seed=3)
    state = load_file(path)
    module = mlp(nn.ReLU())
    module.load_state_dict(state)
    [from_file] = score(path, activation="relu", device="cpu")
    rows = [*score(state, activation="relu", device="cpu"), *score(module, device="cpu")]
    rows += score([state, module], activation="relu", device="cpu")
    assert from_file.accuracy is not None
    assert [row.path for row in rows] == ["state dict", "Sequential", "state dict#0", "Sequential#1"]
    assert all(row.accuracy == pytest.approx(from_file.accuracy, abs=1e-6) for row in rows)


@pytest.mark.usefixtures("shipped")
def test_a_module_tells_its_own_activation() -> None:
    torch.manual_seed(0)
    notes: list[str] = []
    rows = list(score([mlp(nn.ReLU()), mlp(nn.Tanh()), mlp(nn.GELU())], device="cpu", on_note=notes.append))
    heads = [row.head for row in rows]
    assert None not in heads[:2] and heads[0] != heads[1]
    assert rows[2].error is not None and "gelu" in rows[2].error
    assert notes == []


@pytest.mark.usefixtures("shipped")
def test_what_is_behind_the_last_layer_is_seen() -> None:
    [softmax] = score(mlp(nn.ReLU(), behind=nn.Softmax(-1)), device="cpu")
    [tanh] = score(mlp(nn.ReLU(), behind=nn.Tanh()), device="cpu")
    assert softmax.error is None
    assert tanh.error is not None and "tanh behind its last layer" in tanh.error


@pytest.mark.parametrize("given", [{"a.pt": 1}, 3, None, [3], [{"a": 1}], {}], ids=repr)
@pytest.mark.parametrize("function", [score, classify])
def test_what_is_no_network_is_refused_before_the_first_row(function, given: object) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        function(given)
    assert caught.value.cause and caught.value.remedy


def test_paths_and_networks_are_not_mixed() -> None:
    with pytest.raises(UsageError, match="a path among networks in memory"):
        score(["a.pt", mlp(nn.ReLU())])
    with pytest.raises(UsageError, match="are for modules"):
        score(["a.pt"], inputs=torch.zeros(2, 3))
