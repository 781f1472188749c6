"""A sharded checkpoint is read by its index, and from the index's own folder only."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]


def sample(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write a file of this format, each tensor in a shard of its own."""
    shards = {name: f"{place}.bin" for place, name in enumerate(tensors)}
    for name, shard in shards.items():
        torch.save({name: tensors[name]}, folder / shard)
    return write_index(folder, shards)


def write_index(folder: Path, weight_map: Any) -> Path:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


@pytest.fixture
def index(tmp_path: Path, state_dict: StateDict, write: Write, format: str) -> Path:
    """The index of the state dict in two shards: all weights, all biases."""
    folder = tmp_path / "model"
    folder.mkdir()
    shard_of = {name: f"{name.rpartition('.')[2]}.bin" for name in state_dict}
    for shard in set(shard_of.values()):
        write(folder / shard, {name: state_dict[name] for name in state_dict if shard_of[name] == shard}, format)
    return write_index(folder, shard_of)


def test_all_tensors_are_read_in_the_order_of_the_index(index: Path, state_dict: StateDict) -> None:
    checkpoint = read_checkpoint(index)
    assert (checkpoint.path, checkpoint.format, checkpoint.ordered) == (index, "sharded", False)
    assert list(checkpoint.tensors) == list(state_dict)
    assert all(torch.equal(checkpoint.tensors[name], state_dict[name]) for name in state_dict)


def test_the_folder_stands_for_its_index(index: Path, state_dict: StateDict) -> None:
    checkpoint = read_checkpoint(index.parent)
    assert checkpoint.path == index
    assert list(checkpoint.tensors) == list(state_dict)


def test_shards_are_sought_beside_the_index_not_in_the_working_directory(
    index: Path, state_dict: StateDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(index.parent.parent)
    relative = index.relative_to(index.parent.parent)
    assert list(read_checkpoint(relative).tensors) == list(state_dict)
    monkeypatch.chdir(index.parent)
    assert list(read_checkpoint(index.name).tensors) == list(state_dict)


def test_a_link_to_the_folder_is_no_way_out(index: Path, state_dict: StateDict, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(index.parent)
    assert list(read_checkpoint(link / index.name).tensors) == list(state_dict)


def test_a_link_within_the_folder_is_followed(index: Path, state_dict: StateDict) -> None:
    shard = index.parent / "bias.bin"
    shard.rename(index.parent / "moved.bin")
    shard.symlink_to("moved.bin")
    assert list(read_checkpoint(index).tensors) == list(state_dict)


def test_prefixes_are_removed_only_if_all_shards_have_them(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"module.fc1.weight": torch.eye(2)}, "torch")
    write(tmp_path / "b", {"module.fc2.weight": torch.eye(2)}, "torch")
    write(tmp_path / "c", {"fc3.weight": torch.eye(2)}, "torch")
    index = write_index(tmp_path, {"module.fc1.weight": "a", "module.fc2.weight": "b"})
    assert list(read_checkpoint(index).tensors) == ["fc1.weight", "fc2.weight"]
    index = write_index(tmp_path, {"module.fc1.weight": "a", "fc3.weight": "c"})
    assert list(read_checkpoint(index).tensors) == ["module.fc1.weight", "fc3.weight"]


def test_no_file_outside_the_folder_is_opened(
    tmp_path: Path, state_dict: StateDict, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = write(tmp_path / "outside.bin", state_dict, "torch")
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(outside)
    (folder / "loop.bin").symlink_to("loop.bin")
    (folder / "sub" / "link.bin").symlink_to(outside)
    (folder / "up").symlink_to("..")
    opened: list[str] = []
    real_open = Path.open

    def spy(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(os.path.realpath(path))
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", spy)
    upwards = ("../outside.bin", "./sub/../../outside.bin", "sub/../../outside.bin", str(outside))
    links = ("link.bin", "loop.bin", "sub/link.bin", "up/outside.bin", "up/model/link.bin")
    for shard in (*upwards, *links):
        index = write_index(folder, {"stem.weight": shard})
        with pytest.raises(CheckpointError, match=r"outside its folder|leads out of the folder|cannot be read"):
            read_checkpoint(index)
        assert os.path.realpath(index) in opened
        assert not [path for path in opened if Path(path).parent != Path(os.path.realpath(folder))]


@pytest.mark.parametrize(
    "shard",
    [
        *(
            "",
            ".",
            "..",
            "missing.bin",
            "a\0b",
            "\ud800",
            "x" * 5000,
            "C:model.bin",
            "..\\model.bin",
            "*",
            "model.BIN ",
        ),
        *(
            "sub//a.bin",
            "sub/",
            "/sub/a.bin",
            "./sub/a.bin",
            "sub/./a.bin",
            "sub\\a.bin",
            "sub/C:a.bin",
            "sub/../sub/a.bin",
        ),
        *("sub/missing.bin", "none/a.bin", "sub/a.bin/a.bin", "sub/a\0b", "x/" * 2000 + "x"),
    ],
    ids=lambda shard: ascii(shard)[:30],
)
def test_a_name_that_no_shard_can_have_is_refused(shard: str, tmp_path: Path, write: Write) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "a.bin", {"fc.weight": torch.eye(2)}, "torch")
    index = write_index(tmp_path, {"fc.weight": shard})
    with pytest.raises(CheckpointError, match=r"the shard '.*' is missing|outside its folder") as refusal:
        read_checkpoint(index)
    assert refusal.value.subject == str(index)
    assert len(str(refusal.value)) < 1000


def test_a_shard_that_lacks_a_tensor_is_named(index: Path) -> None:
    record = json.loads(index.read_text())
    write_index(index.parent, {**record["weight_map"], "extra.weight": "bias.bin"})
    with pytest.raises(CheckpointError, match=r"the shard 'bias\.bin' has no tensor 'extra\.weight'"):
        read_checkpoint(index)


def test_of_many_tensors_that_are_not_where_they_should_be_three_are_named(index: Path, write: Write) -> None:
    record = json.loads(index.read_text())
    write_index(index.parent, {**record["weight_map"], **{f"extra{i}": "bias.bin" for i in range(5)}})
    with pytest.raises(CheckpointError, match=r"has no tensors 'extra0', 'extra1', 'extra2' and 2 more; download"):
        read_checkpoint(index)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (3, r"holds tensor 'a0', not listed there by the index; download"),
        (0, r"holds tensors 'a0', 'a1', 'a2' and 1 more, not listed"),
    ],
)
def test_a_tensor_that_the_index_does_not_list_is_not_dropped(
    left: int, told: str, tmp_path: Path, write: Write, format: str
) -> None:
    write(tmp_path / "a", {f"a{i}": torch.eye(2) for i in range(4)} | {"b": torch.eye(2)}, format)
    index = write_index(tmp_path, dict.fromkeys(["b", "a3", "a2", "a1"][: left + 1], "a"))
    with pytest.raises(CheckpointError, match=rf"the shard 'a' {told}") as refusal:
        read_checkpoint(index)
    assert refusal.value.subject == str(index)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"fc1": torch.eye(2), "fc2": torch.eye(2)}, "torch")
    write(tmp_path / "b", {"fc2": torch.ones(2, 2)}, "torch")
    with pytest.raises(CheckpointError, match=r"the shard 'a' holds tensor 'fc2', not listed there"):
        read_checkpoint(write_index(tmp_path, {"fc1": "a", "fc2": "b"}))


def test_an_index_that_lists_a_tensor_twice_is_refused(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"fc": torch.eye(2)}, "torch")
    write(tmp_path / "b", {"fc": torch.ones(2, 2)}, "torch")
    index = tmp_path / "model.index.json"
    index.write_text('{"weight_map": {"fc": "a", "fc": "b"}}')
    with pytest.raises(CheckpointError, match=r"it lists 'fc' twice"):
        read_checkpoint(index)


def test_shards_in_subfolders_are_read(tmp_path: Path, state_dict: StateDict, write: Write, format: str) -> None:
    shard_of = {name: f"part{i % 2}/deep/model-{i}.bin" for i, name in enumerate(state_dict)}
    for name, shard in shard_of.items():
        (tmp_path / shard).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / shard, {name: state_dict[name]}, format)
    (tmp_path / "same").symlink_to("part0")
    shard_of["stem.weight"] = "same/deep/model-0.bin"
    checkpoint = read_checkpoint(write_index(tmp_path, shard_of))
    assert list(checkpoint.tensors) == list(state_dict)
    assert all(torch.equal(checkpoint.tensors[name], state_dict[name]) for name in state_dict)


def test_no_shard_is_read_where_one_of_them_is_outside(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"damaged")
    index = write_index(tmp_path, {"fc1": "a", "fc2": "../b"})
    with pytest.raises(CheckpointError, match="outside its folder"):
        read_checkpoint(index)


def test_a_damaged_shard_is_the_file_that_the_error_names(index: Path) -> None:
    shard = index.parent / "bias.bin"
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="copy or save it again") as refusal:
        read_checkpoint(index)
    assert refusal.value.subject == str(shard)


def test_not_finite_weights_of_a_shard_are_counted(index: Path, write: Write, format: str) -> None:
    write(
        index.parent / "bias.bin", {"stem.bias": torch.tensor([1.0, float("nan")]), "head.bias": torch.ones(3)}, format
    )
    with pytest.raises(CheckpointError, match=r"tensor 'stem\.bias' holds 1 NaN of 2 values"):
        read_checkpoint(index)


def test_an_index_among_the_shards_is_refused(tmp_path: Path) -> None:
    index = write_index(tmp_path, {"fc.weight": "model.safetensors.index.json"})
    with pytest.raises(CheckpointError, match="an index where a shard should be"):
        read_checkpoint(index)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"weight_map": {}},
        {"weight_map": []},
        {"weight_map": "model.bin"},
        {"weight_map": {"fc.weight": 1}},
        {"weight_map": {"fc.weight": None}},
        {"architectures": ["BertModel"], "hidden_size": 768},
    ],
    ids=json.dumps,
)
def test_json_that_maps_no_tensors_to_files_is_no_index(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.index.json"
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="JSON without a weight_map"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "text",
    ['{"weight_map": ', '{"a": ' + "[" * 100_000, '{"a": \xff', '{"a": ' + "1" * 5000 + "}", "{}{}"],
    ids=["cut", "deep", "latin", "number", "more"],
)
def test_what_is_no_json_is_no_index(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.index.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="neither a checkpoint nor a readable index"):
        read_checkpoint(path)


def test_a_giant_is_not_parsed_as_an_index(tmp_path: Path) -> None:
    path = tmp_path / "model.index.json"
    path.write_text('{"weight_map": {"fc.weight": "a"}}')
    os.truncate(path, 1 << 25)
    with pytest.raises(CheckpointError, match="larger than any index"):
        read_checkpoint(path)
