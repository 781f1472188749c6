"""Files are opened whatever their tensors are, and refused where the bytes do not open."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, PackedError, measure_tensors, open_tensors, read_checkpoint
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]

GOOD = {"fc.weight": torch.eye(3), "fc.bias": torch.ones(3)}


def test_what_is_read_is_opened_alike(format: str, state_dict: StateDict, tmp_path: Path, write: Write) -> None:
    wrapped = OrderedDict((f"module.{name}", tensor) for name, tensor in state_dict.items())
    path = write(tmp_path / "model.pt", wrapped, format)
    read, opened = read_checkpoint(path), open_tensors(path)
    assert (opened.path, opened.format, opened.metadata) == (read.path, read.format, read.metadata)
    assert list(opened.tensors) == list(read.tensors)
    assert all(torch.equal(opened.tensors[name], read.tensors[name]) for name in read.tensors)
    assert opened.unheld == frozenset()


def test_facts_beside_the_tensors(torch_format: str, tmp_path: Path, write: Write) -> None:
    loaded = {"model": {"w": torch.ones(3)}, "config": {"activation": "tanh"}}
    assert open_tensors(write(tmp_path / "a.pt", loaded, torch_format)).metadata == {"activation": "tanh"}


ODD: dict[str, Callable[[], Tensor]] = {
    "NaN": lambda: torch.full((2, 2), float("nan")),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
    "meta": lambda: torch.empty(3, 3, device="meta"),
    "complex": lambda: torch.eye(3, dtype=torch.complex64),
    "integers": lambda: torch.ones(3, 3, dtype=torch.int8),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
def test_odd_tensors_are_opened(kind: str, torch_format: str, tmp_path: Path, write: Write) -> None:
    odd = ODD[kind]()
    path = write(tmp_path / "a.pt", {"odd": odd}, torch_format)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    (found,) = open_tensors(path).tensors.values()
    if kind in ("sparse", "quantized", "meta"):  # these are not made, and nothing is said of them but this
        (facts,) = measure_tensors(open_tensors(path).tensors)
        assert facts.shape is None and facts.note is not None and kind in facts.note
        return
    assert (found.shape, found.dtype, found.layout) == (odd.shape, odd.dtype, odd.layout)


@pytest.mark.parametrize(
    ("loaded", "names"),
    [
        (torch.eye(3), [""]),
        ([torch.ones(2), (torch.ones(2),)], ["0", "1.0"]),
        ({"a": GOOD, "b": dict(GOOD)}, ["a.fc.weight", "a.fc.bias", "b.fc.weight", "b.fc.bias"]),
        ({"state": {0: {"m": torch.ones(2, 2)}, 1: {"m": torch.ones(2, 2)}}}, ["state.0.m", "state.1.m"]),
        ({"optim": {"x": [torch.ones(2, 2)]}, "epoch": 3}, ["optim.x.0"]),
        ({"a": {"b.c": [torch.ones(1)]}, "a.b": {"c": [torch.ones(1)]}}, ["a.b.c.0", "a.b.c.0 (1)"]),
        ({"epoch": 3}, []),
    ],
)
def test_without_one_state_dict_every_tensor_has_the_name_of_its_place(
    loaded: Any, names: list[str], torch_format: str, tmp_path: Path, write: Write
) -> None:
    assert list(open_tensors(write(tmp_path / "a.pt", loaded, torch_format)).tensors) == names


def test_an_optimizers_state_is_opened(torch_format: str, tmp_path: Path, write: Write) -> None:
    # Of two matrices neither is the model.
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.ones(2, 3), "exp_avg_sq": torch.ones(2, 3)}
    state = {"state": {0: moments, 1: dict(moments)}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    opened = open_tensors(write(tmp_path / "a.pt", state, torch_format))
    assert list(opened.tensors) == [f"state.{place}.{moment}" for place in (0, 1) for moment in moments]


def test_what_holds_itself_is_entered_once(torch_format: str, tmp_path: Path, write: Write) -> None:
    loop: list[Any] = [torch.ones(2)]
    loop += [loop, loop]
    many: Any = [torch.ones(2)]
    for _ in range(12):
        many = [many] * 50
    opened = open_tensors(write(tmp_path / "a.pt", [loop, many], torch_format))
    assert list(opened.tensors) == ["0.0", "1" + 13 * ".0"]


def test_what_lies_deeper_than_any_training_state_is_not_looked_for(tmp_path: Path, write: Write) -> None:
    deep: Any = torch.ones(2)
    for _ in range(300):
        deep = [deep]
    assert open_tensors(write(tmp_path / "a.pt", deep, "torch")).tensors == {}


def test_entries_that_the_file_does_not_have_are_told(torch_format: str, tmp_path: Path, write: Write) -> None:
    loaded = {"module.w": torch.zeros(1).expand(1000, 1000), "module.b": torch.ones(3)}
    assert open_tensors(write(tmp_path / "a.pt", loaded, torch_format)).unheld == {"w"}


def sharded(folder: Path, weight_map: dict[str, str]) -> Path:
    path = folder / "model.index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    return path


def test_the_shards_of_an_index_are_opened(tmp_path: Path) -> None:
    repeated = torch.zeros(1).expand(1000, 1000)
    torch.save({"a": torch.full((2, 2), float("nan"))}, tmp_path / "one.bin")
    torch.save({"b": repeated, "c": torch.ones(2)}, tmp_path / "two.bin")
    path = sharded(tmp_path, {"c": "two.bin", "a": "one.bin", "b": "two.bin"})
    opened = open_tensors(path)
    assert (opened.path, opened.format) == (path, "sharded")
    assert list(opened.tensors) == ["c", "a", "b"]
    assert opened.unheld == {"b"}


def test_an_index_that_leads_outside_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    torch.save(GOOD, tmp_path / "out.bin")
    with pytest.raises(CheckpointError, match="outside its folder"):
        open_tensors(sharded(tmp_path / "in", {"fc.weight": "../out.bin"}))


def test_a_packed_population_is_opened_and_still_not_read(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    save_file({"fc.weight": torch.ones(7, 2, 3)}, path, {POPULATION_KEY: "7", "activation": "relu"})
    with pytest.raises(PackedError, match="a packed population of 7 networks"):
        read_checkpoint(path)
    opened = open_tensors(path)
    assert opened.tensors["fc.weight"].shape == (7, 2, 3)
    assert opened.metadata == {"activation": "relu"}


def test_a_damaged_file_does_not_open(format: str, state_dict: StateDict, tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "model.pt", state_dict, format)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError) as read:
        read_checkpoint(path)
    with pytest.raises(CheckpointError) as opened:
        open_tensors(path)
    assert str(opened.value) == str(read.value)


class Payload:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.marker = str(folder / "ran")

    def __reduce__(self) -> Any:
        return open, (self.marker, "w")


def test_nothing_in_a_file_is_run(torch_format: str, tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "a.pt", {"model": GOOD, "x": Payload(tmp_path)}, torch_format)
    try:
        open_tensors(path)
    except CheckpointError as error:
        assert "run code" in error.cause
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()  # so the payload is one


def test_tensors_that_are_not_made_stay_so_in_a_file_of_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save([torch.eye(3).to_sparse(), torch.ones(2)], path)
    facts = {own.name: own for own in measure_tensors(open_tensors(path).tensors)}
    assert (facts["0"].shape, facts["0"].note) == (None, "sparse") and facts["1"].shape == (2,)
