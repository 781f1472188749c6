"""`nfn zoo cnn` from end to end. These start processes, so they are few."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nfn_cli.zoo import read_networks
from nfn_cli.zoo.labels import read_zoo_rows

Nfn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(archive: Path, tmp_path: Path) -> list[object]:
    """A small zoo's command, without --count."""
    options = [
        "--data",
        archive,
        "--activation",
        "tanh",
        "--epochs",
        2,
        "--epochs",
        1,
        "--epochs",
        2,
        "--batch-size",
        8,
    ]
    return ["zoo", "cnn", *options, "--out", tmp_path / "new" / "zoo", "--workers", 1, "--device", "cpu"]


def test_a_zoo_is_made_and_grows_by_the_same_command(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    code, out, err = nfn(*command, "--count", 4)
    assert (code, out) == (0, "")
    told = r"nfn: .*/zoo: 8 checkpoints of 4 runs \(4 trained now, 0 found, 0 diverged\) in \d+ s, [\d,]+ network-\w+/s"
    assert re.fullmatch(told, err.strip())
    networks = read_networks(tmp_path / "new" / "zoo")
    assert len(networks) == 8
    assert networks.point.architecture.activation == "tanh"
    code, _, err = nfn(*command, "--count", 5)
    assert code == 0
    assert "10 checkpoints of 5 runs (1 trained now, 4 found, 0 diverged)" in err
    code, _, err = nfn(*command, "--count", 5)
    assert code == 0  # nothing was trained, so there is no rate
    assert re.fullmatch(r".*10 checkpoints of 5 runs \(0 trained now, 5 found, 0 diverged\) in \d+ s", err.strip())


@pytest.mark.usefixtures("in_this_process")
def test_digits_need_no_file(nfn: Nfn, tmp_path: Path) -> None:
    options = ["--activation", "relu", "--count", 2, "--epochs", 1, "--images", 100, "--packed", "--out", tmp_path]
    assert nfn("zoo", "cnn", "--data", "digits", *options)[0] == 0
    assert read_networks(tmp_path).point.tensors["fc.weight"].shape == (2, 10, 16)


@pytest.mark.usefixtures("in_this_process")
def test_a_zoo_may_have_another_width(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    assert nfn(*command, "--count", 2, "--width", 3)[0] == 0
    tensors = read_networks(tmp_path / "new" / "zoo").point.tensors
    assert tensors["conv2.weight"].shape == (4, 3, 3, 3, 3)
    assert not torch.equal(tensors["conv2.weight"][0], tensors["conv2.weight"][1])
    assert tensors["fc.weight"].shape[2] == 3


@pytest.mark.usefixtures("in_this_process")
def test_a_cosine_schedule_makes_other_networks_of_the_same_runs(
    nfn: Nfn, command: list[object], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "zoo"
    assert nfn(*command, "--count", 2, "--schedule", "cosine")[0] == 0
    rows = read_zoo_rows(folder / "labels.csv")
    assert {row.hyperparameters.schedule for row in rows} == {"cosine"}
    falling = read_networks(folder).point.tensors["conv1.weight"]
    shutil.rmtree(folder)
    assert nfn(*command, "--count", 2)[0] == 0
    constant = read_networks(folder).point.tensors["conv1.weight"]
    assert not torch.equal(falling, constant)
    same = [replace(row.hyperparameters, schedule="constant") for row in rows]
    assert [row.hyperparameters for row in read_zoo_rows(folder / "labels.csv")] == same
    code, _, err = nfn(*command, "--count", 2, "--schedule", "cosine")
    assert code == 3
    assert "holds a zoo of another schedule" in err


@pytest.mark.usefixtures("in_this_process")
def test_another_zoo_in_the_folder_is_refused_in_one_line(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    assert nfn(*command, "--count", 1)[0] == 0
    code, out, err = nfn(*command, "--count", 1, "--seed", 1, "--packed")
    assert (code, out) == (3, "")
    assert err == f"nfn: {tmp_path / 'new' / 'zoo'}: holds a zoo of another seed, packed; choose another folder\n"


def test_unusable_data_is_refused_in_one_line(nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK")
    options = ["--activation", "relu", "--count", 1, "--out", tmp_path / "zoo"]
    code, out, err = nfn("zoo", "cnn", "--data", tmp_path / "bad.npz", *options)
    assert (code, out) == (3, "")
    assert err.startswith(f"nfn: {tmp_path / 'bad.npz'}: not a NumPy archive")
    assert err.count("\n") == 1
    assert not (tmp_path / "zoo").exists()


@pytest.mark.usefixtures("in_this_process")
def test_a_zoo_may_be_augmented_and_preprocessed(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "zoo"
    options = ("--count", 2, "--augmentation", "shift-flip", "--preprocessing", "unit")
    assert nfn(*command, *options)[0] == 0
    rows = read_zoo_rows(folder / "labels.csv")
    assert {(row.hyperparameters.augmentation, row.hyperparameters.preprocessing) for row in rows} == {
        ("shift-flip", "unit")
    }
    assert nfn(*command, *options)[0] == 0
    code, _, err = nfn(*command, "--count", 2, "--augmentation", "flip", "--preprocessing", "unit")
    assert code == 3
    assert "holds a zoo of another augmentation" in err


@pytest.mark.parametrize(
    "option",
    [
        ("--epochs", 3),
        ("--batch-size", 8),
        ("--schedule", "cosine"),
        ("--augmentation", "flip"),
        ("--preprocessing", "unit"),
    ],
)
def test_what_a_varied_zoo_draws_cannot_be_given(option: tuple[str, object], nfn: Nfn, tmp_path: Path) -> None:
    given = ("--data", "digits", "--activation", "relu", "--count", 2, "--varied", "--out", tmp_path / "zoo")
    code, _, err = nfn("zoo", "cnn", *given, *option)
    assert code == 2
    assert f"{option[0]}: is drawn for each run of a varied zoo; leave out {option[0]} or --varied" in err
    assert not (tmp_path / "zoo").exists()
