"""The state dict is found wherever training scripts put it; what stands beside it is passed over."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.errors import CheckpointError

StateDict = OrderedDict[str, Tensor]
Read = Callable[[Any], Checkpoint]

OTHER = {"fc.weight": torch.full((2, 2), 9.0)}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(3, 4), "step": torch.tensor(5.0)}}, "param_groups": [{"lr": 0.1}]}


@pytest.fixture
def read(tmp_path: Path, torch_format: str, write: Callable[..., Path]) -> Read:
    """Save an object, in either format, and read it."""
    return lambda loaded: read_checkpoint(write(tmp_path / "model.pt", loaded, torch_format))


def is_model(checkpoint: Checkpoint, state_dict: StateDict) -> bool:
    """Whether the tensors are the state dict's, in its order and under its names."""
    read = checkpoint.tensors
    return list(read) == list(state_dict) and all(torch.equal(read[name], state_dict[name]) for name in state_dict)


@pytest.mark.parametrize(
    "name", ["state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params", "ema"]
)
def test_the_usual_names_are_entered(name: str, read: Read, state_dict: StateDict) -> None:
    assert is_model(read({"epoch": 3, name: state_dict, "optimizer": OPTIMIZER, "loss": torch.ones(2, 2)}), state_dict)


def test_several_levels_are_entered(read: Read, state_dict: StateDict) -> None:
    assert is_model(read({"checkpoint": {"model": {"state_dict": state_dict}, "epoch": 3}}), state_dict)


def test_a_single_unknown_name_is_entered(read: Read, state_dict: StateDict) -> None:
    assert is_model(read({"my_classifier": state_dict, "optimizer": OPTIMIZER, "epoch": 3}), state_dict)


@pytest.mark.parametrize(
    "beside",
    [
        {"optimizer": OPTIMIZER},
        {"optimizer_state_dict": OPTIMIZER, "lr_scheduler": {"last": OTHER}},
        {"grad_scaler": OTHER},
        {"rng_states": OTHER},
        {"loss_history": OTHER},
        {"metrics": {"confusion": torch.ones(5, 5)}},
        {"callbacks": {"ModelCheckpoint": OTHER}},
        {"config": {"lr": 0.1, "layers": [1, 2]}, "history": [1.0, 0.5], "epoch": 7, "note": "x", "nothing": None},
    ],
    ids=lambda beside: "+".join(beside),
)
def test_what_is_not_the_model_is_passed_over(beside: dict[str, Any], read: Read, state_dict: StateDict) -> None:
    assert is_model(read({**beside, "my_classifier": state_dict}), state_dict)


@pytest.mark.parametrize("other", ["ema", "model_ema", "ema_state_dict"])
def test_the_model_comes_before_its_moving_average(other: str, read: Read, state_dict: StateDict) -> None:
    assert is_model(read({other: OTHER, "model": state_dict}), state_dict)


def test_a_matrix_beside_the_state_dict_is_not_taken_for_the_model(read: Read, state_dict: StateDict) -> None:
    assert is_model(read({"confusion": torch.ones(5, 5), "state_dict": state_dict}), state_dict)


def test_a_usual_name_without_a_matrix_is_passed_over(read: Read, state_dict: StateDict) -> None:
    loaded = {"weights": {"of_classes": torch.ones(3)}, "model": {"temperature": torch.ones(1)}, "mine": state_dict}
    assert is_model(read(loaded), state_dict)


def test_several_that_could_be_the_model_are_named_and_refused(read: Read, state_dict: StateDict) -> None:
    with pytest.raises(CheckpointError, match=r"several entries could be the model \(generator, critic\)"):
        read({"generator": state_dict, "critic": OTHER})


def test_one_state_dict_under_two_names_is_one_model(read: Read, state_dict: StateDict) -> None:
    assert is_model(read({"first": state_dict, "second": state_dict}), state_dict)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "net.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.module.",
        "model._orig_mod.",
    ],
)
def test_the_prefixes_of_wrappers_are_removed(prefix: str, read: Read, state_dict: StateDict) -> None:
    wrapped = OrderedDict((prefix + name, tensor) for name, tensor in state_dict.items())
    assert is_model(read({"state_dict": wrapped}), state_dict)


def test_a_prefix_that_only_some_names_have_is_part_of_them(read: Read) -> None:
    saved = {"model.fc.weight": torch.eye(2), "criterion.weight": torch.eye(3)}
    assert list(read(saved).tensors) == ["model.fc.weight", "criterion.weight"]


def test_a_tensor_named_like_a_wrapper_keeps_its_name(read: Read) -> None:
    assert list(read({"module.": torch.eye(2)}).tensors) == ["module."]


def test_a_lightning_checkpoint_is_read(read: Read, state_dict: StateDict) -> None:
    checkpoint = read(
        {
            "epoch": 3,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": OrderedDict((f"model.{name}", tensor) for name, tensor in state_dict.items()),
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"EarlyStopping": {"best_score": torch.tensor(0.1)}},
            "optimizer_states": [OPTIMIZER],
            "lr_schedulers": [],
            "hyper_parameters": {"activation": "tanh", "lr": 0.1},
        }
    )
    assert is_model(checkpoint, state_dict)
    assert checkpoint.metadata == {"activation": "tanh"}


@pytest.mark.parametrize("name", ["config", "hparams", "hyper_parameters", "args", "meta", "metadata"])
def test_known_facts_of_a_configuration_are_kept(name: str, read: Read, state_dict: StateDict) -> None:
    facts = {"activation": "sin", "arch": "siren", "omega_0": 25.0, "pool": "avg"}
    assert read({"model": state_dict, name: {**facts, "lr": 0.1}}).metadata == facts


def test_a_fact_at_the_top_outweighs_the_configuration(read: Read, state_dict: StateDict) -> None:
    loaded = {"model": state_dict, "activation": "tanh", "config": {"activation": "relu", "pool": "max"}}
    assert read(loaded).metadata == {"activation": "tanh", "pool": "max"}


def test_what_is_no_plain_fact_is_passed_over(read: Read, state_dict: StateDict) -> None:
    assert read({"model": state_dict, "activation": ["relu"], "omega_0": torch.tensor(30.0)}).metadata == {}


class _Overlaid(OrderedDict[str, Any]):
    """Pickled as an OrderedDict whose methods are hidden by attributes."""

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"get": 5, "items": 6, "keys": 7, "values": 8}, None, iter(dict.items(self))


def test_attributes_that_a_file_puts_over_methods_are_harmless(read: Read, state_dict: StateDict) -> None:
    weight = torch.eye(2)
    parameter = torch.nn.Parameter(torch.eye(2))
    for tensor in (weight, parameter):
        tensor.reshape = tensor.detach = tensor.numel = "no method"  # type: ignore[method-assign, assignment]
    checkpoint = read(_Overlaid(model=_Overlaid(a=weight, b=parameter, **state_dict), activation="relu"))
    assert list(checkpoint.tensors) == ["a", "b", *state_dict]
    assert checkpoint.metadata == {"activation": "relu"}


def test_a_dictionary_that_holds_itself_many_times_ends(read: Read) -> None:
    loaded: dict[str, Any] = {}
    loaded |= {f"entry {i}": loaded for i in range(9)}
    with pytest.raises(CheckpointError, match="no state dict in it"):
        read(loaded)


def test_dictionaries_below_all_reason_are_not_entered(read: Read, state_dict: StateDict) -> None:
    loaded: dict[str, Any] = state_dict
    for _ in range(200):
        loaded = {"model": loaded}
    with pytest.raises(CheckpointError, match="no state dict in it"):
        read(loaded)


@pytest.mark.parametrize(
    ("loaded", "told"),
    [
        ({}, "it holds: nothing"),
        ([1, 2], "it holds: list"),
        ({"epoch": 3, "note": "x"}, "it holds: epoch, note"),
        ({"\x1b[2J": 1}, r"it holds: \\x1b\[2J\)"),
        ({"long" * 1000: 1}, r"it holds: (long){50}\.\.\.\)"),
        ({f"entry{i}": 1 for i in range(1000)}, r"it holds: entry0, .*, \.\.\.\)"),
        (torch.eye(3), "a single tensor"),
        ({"optimizer": OPTIMIZER}, "it holds: optimizer"),
    ],
    ids=["nothing", "list", "names", "controls", "long", "many", "tensor", "optimizer"],
)
def test_without_a_state_dict_the_message_tells_what_there_is(loaded: Any, told: str, read: Read) -> None:
    with pytest.raises(CheckpointError, match=told) as refusal:
        read(loaded)
    assert len(refusal.value.cause) < 500


def test_a_named_entry_is_read(
    torch_format: str, state_dict: StateDict, tmp_path: Path, write: Callable[..., Path]
) -> None:
    saved = {"agent": {"actor": state_dict, "critic": OTHER}, "a.b": {"state_dict": OTHER, "activation": "sin"}}
    path = write(tmp_path / "model.pt", saved, torch_format)
    checkpoint = read_checkpoint(path, entry="agent.actor")
    assert is_model(checkpoint, state_dict) and checkpoint.entry == "agent.actor"
    assert list(read_checkpoint(path, entry="agent.critic").tensors) == list(OTHER)
    assert read_checkpoint(path, entry="a.b").metadata == {"activation": "sin"}
    assert list(read_checkpoint(path, entry="a.b.state_dict").tensors) == list(OTHER)


@pytest.mark.parametrize("entry", ["missing", "agent.missing", "", ".", "step"])
def test_an_unknown_entry_is_answered_with_those_there_are(
    entry: str, torch_format: str, state_dict: StateDict, tmp_path: Path, write: Callable[..., Path]
) -> None:
    models = {"agent": {"actor": state_dict}, "critic": state_dict}
    saved = {**models, "optimizer": OPTIMIZER, "adam": OPTIMIZER, "step": {}}
    path = write(tmp_path / "model.pt", saved, torch_format)
    with pytest.raises(CheckpointError, match=r"no (entry|state dict).*(critic, agent\.actor$|model\.state_dict)"):
        read_checkpoint(path, entry=entry)


def test_several_models_can_be_told_apart_by_a_named_entry(read: Read, state_dict: StateDict) -> None:
    with pytest.raises(
        CheckpointError, match=r"could be the model \(x\.a, x\.b\); name one by `entry: NAME` in a file nfn\.yaml"
    ):
        read({"x": {"a": state_dict, "b": OTHER}})


@pytest.mark.parametrize("kind", ["safetensors", "sharded"])
def test_other_formats_have_no_entries(kind: str, tmp_path: Path, state_dict: StateDict) -> None:
    save_file(dict(state_dict), tmp_path / "model.safetensors")
    (tmp_path / "m.index.json").write_text('{"weight_map": {"stem.weight": "model.safetensors"}}')
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "m.index.json")
    with pytest.raises(CheckpointError, match=rf"{kind}.* has no entries to choose from; name no entry"):
        read_checkpoint(path, entry="model")


@pytest.mark.parametrize("name", ["first_omega_0", "hidden_omega_0", "w0", "w0_initial", "omega_0"])
@pytest.mark.parametrize("value", [30, 1.5, [30.0, 1, 1], (30.0, 2)], ids=str)
def test_frequencies_are_facts(name: str, value: Any, read: Read, state_dict: StateDict) -> None:
    expected = tuple(value) if isinstance(value, list | tuple) else value
    assert read({"model": state_dict, "config": {name: value}}).metadata == {name: expected}


@pytest.mark.parametrize(
    "value",
    [[], [True, 1], ["30"], [1.0] * 65, [[1.0]], {1.0}, {"a": 1}, None, np.float64(30), [np.float64(30)]],
    ids=lambda value: f"{type(value).__name__} {str(value)[:9]}",
)
def test_other_values_are_no_facts(value: Any, read: Read, state_dict: StateDict) -> None:
    assert read({"model": state_dict, "omega_0": value}).metadata == {}


def test_objects_never_become_facts(read: Read, state_dict: StateDict) -> None:
    loaded = {"model": state_dict, "args": argparse.Namespace(activation="relu"), "activation": np.str_("relu")}
    assert read(loaded).metadata == {}
