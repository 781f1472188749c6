"""What `canonicalize`, `apply` and `edit-inr` leave behind when something is in their way."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.cli import interrupts
from nfn_cli.symmetry import transform

Nfn = Callable[..., Any]
MOVING = pytest.mark.parametrize(
    "command", [["canonicalize"], ["apply", "--seed", "1"]], ids=lambda command: str(command[0])
)
WRITING = pytest.mark.parametrize(
    "command",
    [["canonicalize"], ["apply", "--seed", "1"], ["edit-inr", "--edit", "dilate"]],
    ids=lambda command: str(command[0]),
)


def tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (5, 3), "0.bias": (5,), "1.weight": (4, 5), "1.bias": (4,), "2.weight": (2, 4)}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def save(path: Path, seed: int = 0) -> Path:
    """Write a network of two hidden layers in the format that its name tells; of an index, in two shards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    network = tensors(seed)
    if path.name.endswith(".index.json"):
        weight_map = {name: f"part-{name[0] != '0'}.safetensors" for name in network}
        for shard in set(weight_map.values()):
            own = {name: tensor for name, tensor in network.items() if weight_map[name] == shard}
            save_file(own, path.parent / shard)
        path.write_text(json.dumps({"weight_map": weight_map}))
    elif path.suffix == ".safetensors":
        save_file(network, path, metadata={"activation": "relu"})
    else:
        torch.save({"state_dict": network, "activation": "relu"}, path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --overwrite of several files


@MOVING
def test_of_two_files_to_overwrite_the_one_that_fails_is_untouched(
    command: list[str], nfn: Nfn, tmp_path: Path
) -> None:
    a, b = save(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    b.write_bytes(b"damaged")
    before = contents(tmp_path)
    finished = nfn(*command, a, b, "-o", tmp_path, "--overwrite")
    assert finished.code == 1 and f"nfn: {b}: " in finished.err
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert after["b.safetensors"] == b"damaged" and after["a.safetensors"] != before["a.safetensors"]


@MOVING
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(("call", "cause"), [("fsync", "No space left"), ("open", "Permission denied")])
def test_a_fault_of_the_system_in_between_leaves_whole_files(
    call: str,
    cause: str,
    overwrite: bool,
    command: list[str],
    nfn: Nfn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk is full, or the folder cannot be written to, once the first file is done."""
    inputs = [save(tmp_path / "in" / f"{name}.safetensors", seed) for seed, name in enumerate("abc")]
    out = tmp_path / "in" if overwrite else tmp_path / "out"
    before = contents(tmp_path / "in")
    real, code = getattr(os, call), {"fsync": errno.ENOSPC, "open": errno.EACCES}[call]
    calls = []

    def failing(file: Any, *arguments: Any, **options: Any) -> Any:
        if call == "fsync" or str(file).endswith(".tmp"):
            calls.append(file)
            if len(calls) > 1:
                raise OSError(code, os.strerror(code))
        return real(file, *arguments, **options)

    monkeypatch.setattr(os, call, failing)
    if call == "fsync":
        monkeypatch.delattr(os, "sync")  # then new files do not wait for the end of the batch
    finished = nfn(*command, *inputs, "-o", out, *(["--overwrite"] if overwrite else []))
    assert finished.code == 1 and finished.err.count(f"cannot be written ({cause}") == 2
    after = contents(out)
    if overwrite:
        changed = {name for name in before if after[name] != before[name]}
        assert after.keys() == before.keys() and changed == {"a.safetensors"}
    else:
        assert set(after) == {"a.safetensors"}
    assert set(load_file(out / "a.safetensors")) == set(tensors())


# Folders that cannot be made


@WRITING
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none/below"])
def test_a_folder_that_cannot_be_made_is_one_line(place: str, command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    inputs = [save(tmp_path / f"{name}.safetensors") for name in "ab"]
    before = contents(tmp_path)
    finished = nfn(*command, *inputs, "-o", tmp_path / place)
    assert (finished.code, finished.err.count("\n")) == (3, 1)
    assert "cannot be made a folder (" in finished.err
    assert contents(tmp_path) == before


@MOVING
def test_a_folder_that_cannot_be_written_to_is_one_line(
    command: list[str], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, out = [save(tmp_path / f"{name}.safetensors") for name in "ab"], tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out)
    finished = nfn(*command, *inputs, "-o", out)
    assert (finished.code, finished.err.count("\n")) == (3, 1)
    assert "out: a folder that cannot be written to; choose another place" in finished.err


@MOVING
def test_no_empty_folder_stays_where_nothing_could_be_done(command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.pt", "deep/b.pt"):
        (tmp_path / "in" / name).write_bytes(b"")
    assert nfn(*command, tmp_path / "in", "-o", tmp_path / "new" / "out").code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("command", ["train", "train-inr", "train-editor"])
def test_the_folder_of_a_head_that_cannot_be_made_is_told_first(command: str, nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    edit = ["--edit", "dilate"] if command == "train-editor" else []
    finished = nfn(command, tmp_path / "none", "--out", tmp_path / "file" / "head", *edit)
    assert (finished.code, finished.err.count("\n")) == (3, 1)
    assert "head: cannot be made a folder (Not a directory); choose another place" in finished.err


# Names of another format


@WRITING
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a.safetensors", "b.pt"),
        ("a.safetensors", "b.BIN"),
        ("a.pt", "b.safetensors"),
        ("a.pt", "b.npz"),
        ("a.safetensors", "model.safetensors.index.json"),
        ("in/model.safetensors.index.json", "b.safetensors"),
        ("in/model.safetensors.index.json", "b.json"),
    ],
)
def test_no_format_is_written_under_the_name_of_another(
    source: str, target: str, command: list[str], nfn: Nfn, tmp_path: Path
) -> None:
    path, before = save(tmp_path / source), contents(tmp_path)
    before = contents(tmp_path)
    finished = nfn(*command, path, "-o", tmp_path / target)
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert f"{target}: " in finished.err and "written back as" in finished.err and "; give a " in finished.err
    assert contents(tmp_path) == before


@MOVING
@pytest.mark.parametrize("name", ["b.pth", "b", "b.v2"])
def test_other_names_are_taken(name: str, command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    assert nfn(*command, save(tmp_path / "a.pt"), "-o", tmp_path / name).code == 0
    assert set(torch.load(tmp_path / name, weights_only=True)["state_dict"]) == set(tensors())


@WRITING
@pytest.mark.parametrize("name", ["x.pt", "x.index.json"])
def test_a_folder_is_not_made_under_the_name_of_a_file(name: str, command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    inputs = [save(tmp_path / "in" / f"{name}.pt") for name in "ab"]
    for given in (inputs, [tmp_path / "in"]):
        finished = nfn(*command, *given, "-o", tmp_path / name)
        assert (finished.code, finished.err.count("\n")) == (2, 1)
        assert f"{name}: would be made a folder, and is called like a file" in finished.err
        assert not (tmp_path / name).exists()


@MOVING
def test_a_separator_at_the_end_means_a_folder(command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt")
    assert nfn(*command, path, "-o", f"{tmp_path / 'new'}/").code == 0
    assert nfn(*command, path, "-o", f"{tmp_path / 'x.pt'}/").code == 0
    assert (tmp_path / "new" / "a.pt").is_file() and (tmp_path / "x.pt" / "a.pt").is_file()


@MOVING
@pytest.mark.parametrize("name", ["", "-"])
def test_what_is_no_file_is_refused(name: str, command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn(*command, save(tmp_path / "a.pt"), "-o", name)
    assert (finished.code, finished.err.count("\n")) == (2, 1)


@MOVING
@pytest.mark.parametrize(("name", "code"), [("g.pt", 2), ("none/g.safetensors", 3)])
def test_where_an_element_cannot_be_saved_nothing_is_written(
    name: str, code: int, command: list[str], nfn: Nfn, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.pt")
    finished = nfn(*command, path, "-o", tmp_path / "b.pt", "--save-element", tmp_path / name)
    assert (finished.code, finished.err.count("\n")) == (code, 1)
    assert list(tmp_path.iterdir()) == [path]


# Interrupts, and going on after them


class Pressed:
    """Ctrl-C while the file of this number is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, times: int = 1) -> None:
        self._read, self._at, self._times, self.read = transform.read_network, at, times, 0
        monkeypatch.setattr(transform, "read_network", self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.read += 1
        if self.read == self._at:
            for _ in range(self._times):
                signal.raise_signal(signal.SIGINT)
        return self._read(*arguments, **options)


@MOVING
@pytest.mark.parametrize(("times", "done"), [(1, 2), (2, 1)])
def test_an_interrupt_says_how_many_are_done_and_skip_existing_goes_on(
    times: int, done: int, command: list[str], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first Ctrl-C lets the file that is under way be finished, the second does not."""
    for seed, name in enumerate("abcd"):
        save(tmp_path / "in" / f"{name}.safetensors", seed)
    monkeypatch.setattr(interrupts, "_MESSAGE", b"")
    with monkeypatch.context() as patch:
        Pressed(patch, at=2, times=times)
        finished = nfn(*command, tmp_path / "in", "-o", tmp_path / "out", "--format", "json")
    assert finished.code == 130
    last = finished.err.splitlines()[-1]
    assert last == f"nfn: interrupted; {done} of 4 files are done; the same command with --skip-existing goes on"
    names = [f"{name}.safetensors" for name in "abcd"]
    assert [Path(row["output"]).name for row in json.loads(finished.out)] == names[:done]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names[:done]
    before = contents(tmp_path / "out")
    finished = nfn(*command, tmp_path / "in", "-o", tmp_path / "out", "--format", "json", "--skip-existing")
    assert finished.code == 0 and len(json.loads(finished.out)) == 4 - done
    told = "1 file exists" if done == 1 else f"{done} files exist"
    assert finished.err.splitlines()[0] == f"nfn: {told} already, skipped"
    after = contents(tmp_path / "out")
    assert sorted(after) == names and {name: after[name] for name in before} == before
    assert nfn(*command, tmp_path / "in", "-o", tmp_path / "out", "--skip-existing").code == 0


@MOVING
def test_an_interrupt_of_one_file_ends_at_once(
    command: list[str], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.safetensors")
    Pressed(monkeypatch, at=1)
    finished = nfn(*command, path, "-o", tmp_path / "b.safetensors")
    assert (finished.code, finished.err) == (130, "nfn: interrupted\n")
    assert list(tmp_path.iterdir()) == [path]


@WRITING
def test_skip_existing_and_overwrite_contradict_each_other(command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn(*command, save(tmp_path / "a.pt"), "-o", tmp_path / "b.pt", "--skip-existing", "--overwrite")
    assert finished.code == 2 and "--skip-existing: contradicts --overwrite" in finished.err


# apply: several inputs, and many copies


def test_copies_are_those_that_single_calls_make(nfn: Nfn, tmp_path: Path) -> None:
    path, out = save(tmp_path / "a.pt"), tmp_path / "out"
    finished = nfn("apply", path, "-o", out, "--seed", "5", "--count", "3", "--save-element", tmp_path / "g")
    assert finished.code == 0
    assert sorted(contents(out)) == ["a-0000.pt", "a-0001.pt", "a-0002.pt"]
    assert sorted(contents(tmp_path / "g")) == [f"a-000{copy}.element.safetensors" for copy in range(3)]
    for copy in range(3):
        found = torch.load(out / f"a-000{copy}.pt", weights_only=True)["state_dict"]
        for name, given in (
            ("seed", ["--seed", 5 + copy]),
            ("element", ["--element", tmp_path / "g" / f"a-000{copy}.element.safetensors"]),
        ):
            single = tmp_path / f"{name}-{copy}.pt"
            assert nfn("apply", path, "-o", single, *given).code == 0
            expected = torch.load(single, weights_only=True)["state_dict"]
            assert all(torch.equal(found[own], tensor) for own, tensor in expected.items())
    assert nfn("verify", path, out / "a-0002.pt").code == 0


def test_a_checkpoint_is_read_once_for_all_its_copies(
    nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        save(tmp_path / "in" / f"{name}.safetensors")
    counter = Pressed(monkeypatch, at=-1)
    assert nfn("apply", tmp_path / "in", "-o", tmp_path / "out", "--seed", "0", "--count", "4").code == 0
    assert counter.read == 2 and len(contents(tmp_path / "out")) == 8


def test_copies_of_a_sharded_checkpoint_have_folders_of_their_own(nfn: Nfn, tmp_path: Path) -> None:
    index, out = save(tmp_path / "in" / "model.safetensors.index.json"), tmp_path / "out"
    options = ("--seed", "1", "--count", "2", "--activation", "relu", "--save-element", out)
    assert nfn("apply", index, "-o", out, *options).code == 0
    for copy in ("model-0000", "model-0001"):
        assert set(contents(out / copy)) == {*contents(index.parent), "model.element.safetensors"}
        assert nfn("verify", index, out / copy / index.name, "--activation", "relu").code == 0


def test_apply_takes_folders(nfn: Nfn, tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.safetensors")
    save(tmp_path / "in" / "deep" / "b.pt", seed=1)
    out = tmp_path / "out"
    assert nfn("apply", tmp_path / "in", "-o", out, "--seed", "1", "--save-element", out).code == 0
    elements = {"a.element.safetensors", "deep/b.element.safetensors"}
    assert set(contents(out)) == {"a.safetensors", "deep/b.pt", *elements}
    back = tmp_path / "back"
    g = out / "a.element.safetensors"
    inputs = [out / "a.safetensors", out / "deep" / "b.pt"]
    assert nfn("apply", *inputs, "-o", back, "--element", g, "--inverse").code == 0
    assert torch.allclose(load_file(back / "a.safetensors")["0.weight"], tensors()["0.weight"], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--element", "g.safetensors", "--count", "2"], "--count: one element makes one copy; give --seed"),
        (["--seed", "1", "--count", "2", "-o", "b.safetensors"], "would be made a folder, and is called like a file"),
        (["--seed", "1", "--count", "2", "--save-element", "g.safetensors"], "called like a file"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: list[str], told: str, nfn: Nfn, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors")
    finished = nfn("apply", path, "-o", tmp_path / "out", *options)
    assert finished.code == 2 and told in finished.err
    assert list(tmp_path.iterdir()) == [path]


def test_copies_of_two_files_do_not_meet(nfn: Nfn, tmp_path: Path) -> None:
    inputs = [save(tmp_path / f"{name}.pt") for name in ("a", "a-0000")]
    assert nfn("apply", *inputs, "-o", tmp_path / "out", "--seed", "1", "--count", "2").code == 0
    assert set(contents(tmp_path / "out")) == {f"a{middle}-000{copy}.pt" for middle in ("", "-0000") for copy in (0, 1)}


# Two writers of one output


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nfn_cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "a.safetensors"])
def test_two_writers_at_once_leave_the_file_of_one_of_them(name: str, nfn: Nfn, tmp_path: Path) -> None:
    path = save(tmp_path / "in" / name)
    told = ["--activation", "relu"]
    possible = []
    for seed in (1, 2):
        assert nfn("apply", path, "-o", f"{tmp_path / str(seed)}/", "--seed", seed, *told).code == 0
        possible.append(contents(tmp_path / str(seed)))
    out = tmp_path / "out"
    out.mkdir()
    both = [start("apply", path, "-o", out, "--seed", seed, *told) for seed in (1, 2)]
    ends = [(*process.communicate(), process.returncode) for process in both]
    assert sorted(code for _, _, code in ends) == [0, 3]
    (failed,) = (err for _, err, code in ends if code == 3)
    assert "exists already" in failed or "another run is writing to it" in failed
    winner = next(seed for seed, end in enumerate(ends) if end[2] == 0)
    assert contents(out) == possible[winner]
