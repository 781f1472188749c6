"""Checkpoints in a cache of the Hugging Face Hub: read through its links, and never changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import (
    find_checkpoints,
    read_checkpoint,
    require_writable,
    rewrite_checkpoint,
    save_tensors,
    write_text_atomically,
)
from nfn_cli.errors import CheckpointError

Nfn = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Cache:
    """One model's."""

    def __init__(self, root: Path) -> None:
        self.root, self.blobs = root, root / "blobs"
        self.snapshot = root / "snapshots" / REVISION
        self.snapshot.mkdir(parents=True)
        self.blobs.mkdir()

    def link(self, name: str) -> Path:
        """Make a file of the snapshot a link to a blob, as huggingface_hub does."""
        path, blob = self.snapshot / name, self.blobs / hashlib.sha256(name.encode()).hexdigest()
        path.rename(blob)
        path.symlink_to(os.path.relpath(blob, path.parent))
        return path


def sharded(folder: Path, state_dict: StateDict, write: Write) -> list[str]:
    """Write a checkpoint with one tensor a shard, one of them in a subfolder: the shards and the index."""
    shard_of = {name: f"model-{i}.bin" for i, name in enumerate(state_dict)} | {"head.bias": "part/model.bin"}
    for name, shard in shard_of.items():
        (folder / shard).parent.mkdir(parents=True, exist_ok=True)
        write(folder / shard, {name: state_dict[name]}, "torch")
    (folder / "model.bin.index.json").write_text(json.dumps({"weight_map": shard_of}))
    return [*shard_of.values(), "model.bin.index.json"]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "models--org--name")


@pytest.fixture
def index(cache: Cache, state_dict: StateDict, write: Write) -> Path:
    """A sharded checkpoint whose files are all links to blobs."""
    for name in sharded(cache.snapshot, state_dict, write):
        cache.link(name)
    return cache.snapshot / "model.bin.index.json"


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def test_shards_and_an_index_that_are_links_to_blobs_are_read(index: Path, state_dict: StateDict) -> None:
    assert index.is_symlink()
    tensors = read_checkpoint(index).tensors
    assert list(tensors) == list(state_dict)
    assert all(torch.equal(tensors[name], state_dict[name]) for name in state_dict)
    assert read_checkpoint(index.parent).path == index


def test_a_snapshot_counts_once(index: Path, cache: Cache) -> None:
    assert find_checkpoints([cache.root]) == [index]


def test_a_cache_and_a_snapshot_may_be_behind_links(index: Path, cache: Cache, state_dict: StateDict) -> None:
    (cache.root.parent / "cache").symlink_to(cache.root)
    (cache.root.parent / "snapshot").symlink_to(cache.snapshot)
    for folder in (cache.root.parent / "cache" / "snapshots" / REVISION, cache.root.parent / "snapshot"):
        assert list(read_checkpoint(folder / index.name).tensors) == list(state_dict)


@pytest.mark.parametrize("below", ["unet", "a/b", "snapshots/old"])
def test_a_checkpoint_may_be_in_a_subfolder_of_its_revision(
    below: str, tmp_path: Path, state_dict: StateDict, write: Write
) -> None:
    cache = Cache(tmp_path / "models--org--name")
    for name in sharded(cache.snapshot / below, state_dict, write):
        cache.link(f"{below}/{name}")
    assert list(read_checkpoint(cache.snapshot / below).tensors) == list(state_dict)


def refused(index: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the shard 'model-0\.bin' is a link that leads out of the folder"):
        read_checkpoint(index)


def relink(index: Path, target: Path) -> None:
    """Move the first shard, and let the snapshot's link lead there."""
    shard = index.parent / "model-0.bin"
    target.parent.mkdir(parents=True, exist_ok=True)
    Path(os.path.realpath(shard)).rename(target)
    shard.unlink()
    shard.symlink_to(os.path.relpath(target, shard.parent))


@pytest.mark.parametrize(
    "place",
    [
        "outside.bin",
        "models--org--name/model.bin",
        "models--org--name/blobs/below/model.bin",
        "models--org--name/blobs2/model.bin",
        "models--org--name/snapshots/blobs/model.bin",
        "models--org--name/snapshots/another/model.bin",
        "models--org--other/blobs/model.bin",
        "blobs/model.bin",
    ],
)
def test_a_link_to_anywhere_but_the_blobs_is_refused(place: str, index: Path, tmp_path: Path) -> None:
    relink(index, tmp_path / place)
    refused(index)


def test_a_link_by_way_of_the_blobs_to_elsewhere_is_refused(index: Path, cache: Cache, tmp_path: Path) -> None:
    relink(index, tmp_path / "outside.bin")
    (cache.blobs / "hop").symlink_to(tmp_path / "outside.bin")
    shard = index.parent / "model-0.bin"
    shard.unlink()
    shard.symlink_to("../../blobs/hop")
    refused(index)


def test_blobs_behind_a_link_are_refused(index: Path, cache: Cache, tmp_path: Path) -> None:
    for place in (tmp_path / "elsewhere", cache.root / "store"):
        cache.blobs.rename(place)
        cache.blobs.symlink_to(place)
        refused(index.parent / index.name)
        cache.blobs.unlink()
        place.rename(cache.blobs)
    assert read_checkpoint(index)


def test_blobs_of_a_cache_around_the_cache_are_not_its_own(index: Path, cache: Cache, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    inner = outer / "snapshots" / "revision" / "inner"
    inner.parent.mkdir(parents=True)
    cache.root.rename(inner)
    moved = inner / "snapshots" / REVISION / index.name
    relink(moved, outer / "blobs" / "model.bin")
    refused(moved)


@pytest.mark.parametrize("name", ["snapshots2", "snapshot"])
def test_a_folder_that_is_no_snapshot_has_no_blobs(name: str, index: Path, cache: Cache) -> None:
    (cache.root / "snapshots").rename(cache.root / name)
    refused(cache.root / name / REVISION / index.name)


def test_what_stands_among_the_snapshots_themselves_is_in_none(
    cache: Cache, state_dict: StateDict, write: Write
) -> None:
    blob = write(cache.blobs / "hash", {"stem.weight": state_dict["stem.weight"]}, "torch")
    (cache.root / "snapshots" / "model-0.bin").symlink_to(blob)
    index = cache.root / "snapshots" / "model.index.json"
    index.write_text('{"weight_map": {"stem.weight": "model-0.bin"}}')
    refused(index)


def test_a_blob_that_was_not_downloaded_is_told(index: Path) -> None:
    Path(os.path.realpath(index.parent / "model-0.bin")).unlink()
    with pytest.raises(CheckpointError, match=r"model-0\.bin: no such file"):
        read_checkpoint(index)


def test_shards_that_are_links_come_out_as_plain_files(index: Path, cache: Cache, tmp_path: Path) -> None:
    before, out = contents(cache.root), tmp_path / "out" / index.name
    out.parent.mkdir()
    checkpoint = read_checkpoint(index)
    rewrite_checkpoint(checkpoint, {name: tensor * 2 for name, tensor in checkpoint.tensors.items()}, out)
    assert not [path for path in out.parent.rglob("*") if path.is_symlink()]
    found = read_checkpoint(out).tensors
    assert all(torch.equal(found[name], tensor * 2) for name, tensor in checkpoint.tensors.items())
    assert contents(cache.root) == before


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("name", ["model.bin.index.json", "new.index.json"])
def test_shards_that_are_links_are_not_written_in_place(
    overwrite: bool, name: str, index: Path, cache: Cache, tmp_path: Path
) -> None:
    # By way of another link, too.
    (tmp_path / "snapshot").symlink_to(index.parent)
    before, checkpoint = contents(tmp_path), read_checkpoint(index)
    for folder in (index.parent, tmp_path / "snapshot"):
        with pytest.raises(
            CheckpointError, match="the shards are links into a cache that other snapshots share; write elsewhere"
        ):
            rewrite_checkpoint(checkpoint, dict(checkpoint.tensors), folder / name, overwrite=overwrite)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("linked", ["part/model.bin", "model.bin.index.json"])
def test_a_single_link_is_enough(linked: str, cache: Cache, state_dict: StateDict, write: Write) -> None:
    sharded(cache.snapshot, state_dict, write)
    cache.link(linked)
    before, checkpoint = contents(cache.root), read_checkpoint(cache.snapshot)
    with pytest.raises(CheckpointError, match=r"links? into a cache that other snapshots share; write elsewhere"):
        rewrite_checkpoint(checkpoint, dict(checkpoint.tensors), checkpoint.path, overwrite=True)
    assert contents(cache.root) == before


def test_a_single_file_that_is_a_link_is_not_written_in_place(cache: Cache, tmp_path: Path) -> None:
    save_tensors(cache.snapshot / "model.safetensors", {"fc.weight": torch.eye(2)})
    link = cache.link("model.safetensors")
    (tmp_path / "mine.safetensors").symlink_to(link)
    before, checkpoint = contents(tmp_path), read_checkpoint(link)
    for path in (link, tmp_path / "mine.safetensors"):
        with pytest.raises(CheckpointError, match=r": a link into a cache that other snapshots share; write elsewhere"):
            rewrite_checkpoint(checkpoint, {"fc.weight": torch.ones(2, 2)}, path, overwrite=True)
    with pytest.raises(CheckpointError, match=r": in a cache that other snapshots share; write elsewhere"):
        rewrite_checkpoint(checkpoint, {}, Path(os.path.realpath(link)), overwrite=True)
    assert contents(tmp_path) == before
    rewrite_checkpoint(checkpoint, {"fc.weight": torch.ones(2, 2)}, tmp_path / "new.safetensors")
    assert read_checkpoint(tmp_path / "new.safetensors").tensors["fc.weight"].sum() == 4


def test_no_text_is_written_through_a_link_to_a_blob_that_is_missing(cache: Cache) -> None:
    (cache.snapshot / "rows.csv").symlink_to("../../blobs/hash")
    with pytest.raises(CheckpointError, match="a link into a cache"):
        write_text_atomically(cache.snapshot / "rows.csv", "rows")
    assert list(cache.blobs.iterdir()) == []


def test_a_plain_file_beside_links_is_written_and_so_is_one_in_a_folder_of_ones_own_called_blobs(
    cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "own" / "blobs").mkdir(parents=True)
    for path in (cache.snapshot / "rows.csv", tmp_path / "own" / "blobs" / "rows.csv"):
        for text in ("old", "new"):
            require_writable(path, overwrite=True)
            write_text_atomically(path, text, overwrite=True)
        assert path.read_text() == "new"


def test_the_command_line_refuses_to_write_in_place_in_one_line(cache: Cache, nfn: Nfn) -> None:
    save_tensors(
        cache.snapshot / "model.safetensors",
        {"0.weight": torch.eye(3), "0.bias": torch.zeros(3), "1.weight": torch.ones(3, 3), "1.bias": torch.zeros(3)},
        {"activation": "relu"},
    )
    link = cache.link("model.safetensors")
    before = contents(cache.root)
    code, _, err = nfn("apply", link, "--seed", "1", "-o", link, "--overwrite")
    assert (code, err.count("\n")) == (3, 1)
    assert "a link into a cache that other snapshots share; write elsewhere" in err
    assert contents(cache.root) == before
