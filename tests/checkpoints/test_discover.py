"""Files and folders become the list of checkpoints that a user means."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import find_checkpoints, natural_key, read_checkpoint
from nfn_cli.errors import CheckpointError

Nfn = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_checkpoints([folder])]


def test_a_folder_is_walked_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "run10/last.pt", "run2/epoch-10.pt", "run2/epoch-9.pt", "run2/best/a.ckpt", "b.bin", "run02.pth")
    assert found(tmp_path) == [
        "b.bin",
        "run2/best/a.ckpt",
        "run2/epoch-9.pt",
        "run2/epoch-10.pt",
        "run02.pth",
        "run10/last.pt",
    ]


def test_only_files_called_like_checkpoints_count(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.pt", "b.PT", "c.safetensors", "d.txt", "e.pt.txt", "pt", "config.json", ".hidden.pt", ".git/x.pt"
    )
    assert found(tmp_path) == ["a.pt", "b.PT", "c.safetensors"]


def test_files_stay_as_they_are_given(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    given = [tmp_path / "notes.txt", tmp_path / "missing.pt", Path("x" * 5000), tmp_path / "notes.txt"]
    assert find_checkpoints(given) == given
    assert find_checkpoints([str(path) for path in given]) == given


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt", "a.pt")
    with pytest.raises(CheckpointError, match=r"no checkpoint in this folder; looked for \.safetensors, .*index\.json"):
        find_checkpoints([tmp_path / "a.pt", tmp_path / "empty"])


def test_a_sharded_checkpoint_is_found_once(tmp_path: Path) -> None:
    touch(tmp_path, "model-1.safetensors", "model-2.safetensors", "other.safetensors")
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert found(tmp_path) == ["model.safetensors.index.json", "other.safetensors"]


def test_shards_in_subfolders_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path, "net/part1/model-1.bin", "net/part1/model-3.bin", "net/part2/deep/model-2.bin", "z/a.bin")
    weight_map = {"a": "part1/model-1.bin", "b": "part2/deep/model-2.bin", "c": "../z/a.bin"}
    weight_map["d"] = str(tmp_path / "z" / "a.bin")
    (tmp_path / "net" / "model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert found(tmp_path) == ["net/model.bin.index.json", "net/part1/model-3.bin", "z/a.bin"]


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": 1}', '{"weight_map": {"a": 1}}', "[" * 100_000, "\xff"])
def test_a_damaged_index_hides_nothing(text: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.pt")
    (tmp_path / "model.index.json").write_bytes(text.encode("latin-1"))
    assert found(tmp_path) == ["a.pt", "model.index.json"]


def test_a_pipe_called_like_an_index_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.index.json")
    assert found(tmp_path) == ["model.index.json"]
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        read_checkpoint(tmp_path)


def test_a_loop_of_links_ends_and_every_folder_is_walked_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.pt", "b/y.pt")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "b")
    (tmp_path / "itself.pt").symlink_to("itself.pt")
    assert found(tmp_path) == ["a/x.pt", "again/y.pt", "itself.pt"]


def test_a_folder_that_cannot_be_opened_is_kept_to_be_reported_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.pt", "locked/b.pt", "z.pt")
    listdir = os.listdir

    def refusing(folder: Path) -> list[str]:  # permissions do not bind every user
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refusing)
    assert found(tmp_path) == ["a.pt", "locked", "z.pt"]
    with pytest.raises(CheckpointError, match=r"locked: cannot be read \(Permission denied\); check its permissions"):
        read_checkpoint(tmp_path / "locked")


def test_a_folder_of_one_checkpoint_is_that_checkpoint(
    tmp_path: Path, state_dict: OrderedDict[str, Tensor], write: Write
) -> None:
    path = write(tmp_path / "model.pt", state_dict, "torch")
    touch(tmp_path, "README.md", ".hidden.pt", "sub/other.pt")
    (tmp_path / "gone.pt").symlink_to("nowhere")
    assert read_checkpoint(tmp_path).path == path


def test_several_checkpoints_of_a_folder_are_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.pt" for i in range(12)))
    with pytest.raises(CheckpointError, match=r"several checkpoints in this folder \(0\.pt, .*, 4\.pt, \.\.\.\); name"):
        read_checkpoint(tmp_path)


def test_a_folder_of_no_checkpoint_is_told_as_such(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", "sub/model.pt")
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        read_checkpoint(tmp_path)


def test_one_bad_file_of_a_folder_leaves_the_rows_of_the_others(tmp_path: Path, nfn: Nfn) -> None:
    torch.save({"note": "no tensors"}, tmp_path / "a.pt")
    touch(tmp_path, "b.pt")
    code, out, err = nfn("predict-accuracy", tmp_path, "--format", "jsonl", "--device", "cpu", "--quiet")
    assert code == 3
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(tmp_path / "a.pt"), str(tmp_path / "b.pt")]
    assert [line.split(": ")[1] for line in err.splitlines()] == [str(tmp_path / "a.pt"), str(tmp_path / "b.pt")]


@pytest.mark.parametrize(
    "ordered",
    [
        ["conv2", "conv10"],
        ["2.weight", "10.weight", "fc"],
        ["a", "a0", "a1", "b"],
        ["layer1.9", "layer1.10", "layer2.1"],
        ["x" + "9" * 5000, "x1" + "0" * 5000],
        ["0", "00001", "2"],
        ["1", "²", "٣"],
    ],
    ids=lambda names: ascii(names)[:30],
)
def test_numbers_in_names_are_ordered_by_their_value(ordered: list[str]) -> None:
    assert sorted(reversed(ordered), key=natural_key) == ordered
