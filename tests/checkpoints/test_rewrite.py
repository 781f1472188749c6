"""A checkpoint written back: its own container and layout, other numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.checkpoints import PartedTensors, read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "fc1.weight": torch.randn(4, 3, generator=generator),
        "fc1.bias": torch.randn(4, generator=generator),
        "fc2.weight": torch.randn(2, 4, generator=generator).half(),
        "steps": torch.tensor(7),
    }


def doubled(path: Path) -> dict[str, Tensor]:
    return {
        name: tensor.double() * 2
        for name, tensor in read_checkpoint(path).tensors.items()
        if tensor.is_floating_point()
    }


def assert_doubled(found: dict[str, Tensor], prefix: str = "") -> None:
    assert list(found) == [prefix + name for name in found_order(found, prefix)]
    for name, tensor in state().items():
        expected = tensor * 2 if tensor.is_floating_point() else tensor
        assert found[prefix + name].dtype == tensor.dtype
        assert torch.equal(found[prefix + name], expected)


def found_order(found: dict[str, Tensor], prefix: str) -> list[str]:
    assert {name.removeprefix(prefix) for name in found} == set(state())
    return [name.removeprefix(prefix) for name in found]


def test_safetensors_keep_names_dtypes_and_metadata(tmp_path: Path) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({f"model.{name}": tensor for name, tensor in state().items()}, path, metadata={"note": "kept"})
    rewrite_checkpoint(read_checkpoint(path), doubled(path), out)
    assert_doubled(load_file(out), "model.")
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"note": "kept"}


class Rows(PartedTensors):
    """Tensors row by row, and never whole."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        raise AssertionError(f"{name} was asked for whole")

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def parts(self, name: str) -> Iterator[Tensor]:
        yield from self.tensors[name].split(1)


def test_tensors_in_parts_are_never_made_whole(tmp_path: Path) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(state(), path)
    rewrite_checkpoint(read_checkpoint(path), Rows(doubled(path)), out)
    assert_doubled(load_file(out))


@pytest.mark.parametrize(
    "other", [b"no safetensors at all", 9 * b"\0", None], ids=["huge header", "no header", "another network"]
)
def test_a_file_that_has_changed_since_it_was_read_is_not_mixed_with_what_was_read(
    other: bytes | None, tmp_path: Path
) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(state(), path)
    checkpoint, new = read_checkpoint(path), doubled(path)
    path.unlink()
    if other is None:
        save_file(state() | {"fc1.weight": torch.ones(5, 3)}, path)
    else:
        path.write_bytes(other)
    with pytest.raises(CheckpointError, match=r"in\.safetensors: the file has changed since it was read"):
        rewrite_checkpoint(checkpoint, new, out)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])
def test_torch_files_keep_nesting_order_parameters_and_other_entries(tmp_path: Path, new_format: bool) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.pt"
    tensors: dict[str, Tensor] = {f"module.{name}": tensor for name, tensor in state().items()}
    tensors["module.fc1.weight"] = torch.nn.Parameter(tensors["module.fc1.weight"])
    whole = {"epoch": 3, "nested": {"state_dict": tensors}, "optimizer": {"lr": 0.1, "moments": torch.ones(3)}}
    torch.save(whole, path, _use_new_zipfile_serialization=new_format)
    rewrite_checkpoint(read_checkpoint(path), doubled(path), out)
    found = torch.load(out, weights_only=True)
    assert list(found) == ["epoch", "nested", "optimizer"] and found["epoch"] == 3
    assert torch.equal(found["optimizer"]["moments"], torch.ones(3))
    assert list(found["nested"]["state_dict"]) == list(tensors)
    assert isinstance(found["nested"]["state_dict"]["module.fc1.weight"], torch.nn.Parameter)
    assert_doubled({name: tensor.detach() for name, tensor in found["nested"]["state_dict"].items()}, "module.")


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_stay_shards(tmp_path: Path, suffix: str) -> None:
    tensors, source = state(), tmp_path / "in"
    source.mkdir()
    shards = {f"part-1.{suffix}": ["fc1.weight", "fc1.bias"], f"part-2.{suffix}": ["fc2.weight", "steps"]}
    for shard, names in shards.items():
        part = {name: tensors[name] for name in names}
        save_file(part, source / shard) if suffix == "safetensors" else torch.save(part, source / shard)
    index = source / f"model.{suffix}.index.json"
    weight_map = {name: shard for shard, names in shards.items() for name in names}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    out = tmp_path / "out" / index.name
    out.parent.mkdir()
    rewrite_checkpoint(read_checkpoint(source), doubled(source), out)
    assert json.loads(out.read_text()) == json.loads(index.read_text())
    found: dict[str, Tensor] = {}
    for shard, names in shards.items():
        file = out.parent / shard
        part = load_file(file) if suffix == "safetensors" else torch.load(file, weights_only=True)
        assert set(part) == set(names)
        found |= part
    assert_doubled(found)


def in_subfolders(folder: Path) -> Path:
    """The index of a checkpoint with its shards in subfolders."""
    tensors = state()
    shards = {"part1/a.bin": ["fc1.weight", "fc1.bias"], "part2/deep/b.bin": ["fc2.weight", "steps"], "c.bin": ["fc3"]}
    tensors["fc3"] = torch.eye(2)
    for shard, names in shards.items():
        (folder / shard).parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: tensors[name] for name in names}, folder / shard)
    index = folder / "model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {name: shard for shard, names in shards.items() for name in names}}))
    return index


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_doubled_checkpoint(index: Path, source: dict[str, Tensor]) -> None:
    found = read_checkpoint(index).tensors
    assert list(found) == list(source)
    assert all(
        torch.equal(found[name], source[name] * (2 if source[name].is_floating_point() else 1)) for name in found
    )


def test_subfolders_of_shards_are_made_beside_the_new_index(tmp_path: Path) -> None:
    index, out = in_subfolders(tmp_path / "in"), tmp_path / "out" / "new.index.json"
    out.parent.mkdir()
    checkpoint = read_checkpoint(index)
    rewrite_checkpoint(checkpoint, doubled(index), out)
    assert set(files(out.parent)) == {"new.index.json", "part1/a.bin", "part2/deep/b.bin", "c.bin"}
    assert_doubled_checkpoint(out, dict(checkpoint.tensors))
    with pytest.raises(CheckpointError, match="exists already"):
        rewrite_checkpoint(checkpoint, doubled(index), out)
    rewrite_checkpoint(checkpoint, doubled(index), index, overwrite=True)
    assert_doubled_checkpoint(index, dict(checkpoint.tensors))


@pytest.mark.parametrize(
    ("there", "name", "told"),
    [
        ("part2/deep/b.bin", "new.index.json", r"b\.bin: the file exists already"),
        ("part2/deep", "new.index.json", r"part2/deep: not a folder, which 'part2/deep/b\.bin' needs"),
        (None, "c.bin", r"the index would take the place of the shard of this name"),
        (None, "part2", r"the index would take the place of the folder of a shard of this name"),
    ],
)
def test_nothing_is_written_where_a_later_shard_cannot_be(
    there: str | None, name: str, told: str, tmp_path: Path
) -> None:
    index, out = in_subfolders(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    if there is not None:
        (out / there).parent.mkdir(parents=True)
        (out / there).write_bytes(b"precious")
    before = sorted(out.rglob("*"))
    with pytest.raises(CheckpointError, match=told):
        rewrite_checkpoint(read_checkpoint(index), doubled(index), out / name)
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize("in_place", [True, False])
def test_an_index_does_not_replace_a_shard(in_place: bool, tmp_path: Path) -> None:
    index = in_subfolders(tmp_path / "in")
    out = (index.parent if in_place else tmp_path) / "c.bin"
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match="the index would take the place of the shard"):
        rewrite_checkpoint(read_checkpoint(index), doubled(index), out, overwrite=True)
    assert files(tmp_path) == before


def test_shards_that_have_changed_since_they_were_read_are_not_mixed_with_what_was_read(tmp_path: Path) -> None:
    index, out = in_subfolders(tmp_path / "in"), tmp_path / "new.index.json"
    checkpoint, new = read_checkpoint(index), doubled(index)
    part = torch.load(index.parent / "c.bin", weights_only=True)
    torch.save(part | {"more": torch.eye(2)}, index.parent / "c.bin")
    with pytest.raises(CheckpointError, match=r"c\.bin: the file has changed since it was read; try again"):
        rewrite_checkpoint(checkpoint, new, out)
    assert not out.exists()
    record = json.loads(index.read_text())
    index.write_text(json.dumps({"weight_map": record["weight_map"] | {"more": "c.bin"}}))
    with pytest.raises(CheckpointError, match=r"json: the file has changed since it was read; try again"):
        rewrite_checkpoint(checkpoint, new, out, overwrite=True)
    assert not out.exists()


def test_an_index_that_has_changed_since_it_was_read_leads_nowhere_else(tmp_path: Path) -> None:
    index, out = in_subfolders(tmp_path / "in"), tmp_path / "out" / "new.index.json"
    out.parent.mkdir()
    checkpoint, new = read_checkpoint(index), doubled(index)
    (index.parent / "c.bin").rename(tmp_path / "c.bin")
    index.write_text(index.read_text().replace("c.bin", "../c.bin"))
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match="the index points outside its folder"):
        rewrite_checkpoint(checkpoint, new, out, overwrite=True)
    assert files(tmp_path) == before


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(state(), path)
    out.write_text("precious")
    with pytest.raises(CheckpointError, match="exists already"):
        rewrite_checkpoint(read_checkpoint(path), doubled(path), out)
    assert out.read_text() == "precious"
    rewrite_checkpoint(read_checkpoint(path), doubled(path), path, overwrite=True)
    assert_doubled(load_file(path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.safetensors", "out.safetensors"]


def test_other_entries_with_tensors_are_named(tmp_path: Path) -> None:
    def others(loaded: dict[str, object]) -> tuple[str, ...]:
        torch.save(loaded, tmp_path / "in.ckpt")
        checkpoint = read_checkpoint(tmp_path / "in.ckpt")
        return rewrite_checkpoint(checkpoint, {}, tmp_path / "out.ckpt", overwrite=True)

    optimizer = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}
    loaded = {"epoch": 3, "model": state(), "optim\x1b": optimizer, "ema": state(), "lr": [0.1]}
    assert others(loaded) == ("optim\\x1b", "ema")
    assert others({"wrapped": {"model": state()}, "epoch": 3}) == ()
    assert others(dict(state())) == ()


def test_an_index_is_not_written_under_another_kinds_name(tmp_path: Path) -> None:
    save_file({"a.weight": torch.ones(2, 2)}, tmp_path / "s.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "s.safetensors"}}))
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match=r"a name that ends with \.index\.json"):
        rewrite_checkpoint(read_checkpoint(index), {}, tmp_path / "out" / "a.safetensors")
    assert list((tmp_path / "out").iterdir()) == []
