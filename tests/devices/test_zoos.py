"""Zoos that are made on a GPU are like those of the CPU."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from on_devices import PART, Nfn, assert_tensors_alike
from safetensors.torch import load_file

from nfn_cli.zoo.wild.labels import read_wild_rows

pytestmark = pytest.mark.usefixtures("no_processes")


def made(nfn: Nfn, device: str, recipe: str, images: Path, folder: Path, *options: object) -> list[Path]:
    """Zoos of one command on the CPU and on a device."""
    folders = [folder / "first", folder / "second"]
    for own, out in zip(("cpu", device), folders, strict=True):
        finished = nfn("zoo", recipe, "--data", images, *options, "--out", out, "--workers", "1", "--device", own)
        assert finished.code == 0, finished.err
    return folders


def test_a_zoo_of_cnns_begins_as_on_the_cpu(images: Path, device: str, nfn: Nfn, tmp_path: Path) -> None:
    options = ["--activation", "tanh", "--count", "4", "--epochs", "1", "--precision", "float32"]
    folders = made(nfn, device, "cnn", images, tmp_path, *options)
    files = [sorted(path.name for path in folder.glob("*.safetensors")) for folder in folders]
    assert files[0] and files[0] == files[1]
    for file in files[0]:
        first, second = (load_file(folder / file) for folder in folders)
        # Dropout draws others there: weights are of one size, not the same.
        assert all(math.isclose(first[n].std(), second[n].std(), rel_tol=0.5, abs_tol=0.1) for n in first)
    tables = [rows_of(folder) for folder in folders]
    drawn = ("run", "epoch", "learning_rate", "l2", "dropout", "optimizer", "initialiser")
    assert [[row[name] for name in drawn] for row in tables[0]] == [[row[name] for name in drawn] for row in tables[1]]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_zoo_of_inrs_is_that_of_the_cpu(images: Path, device: str, nfn: Nfn, tmp_path: Path) -> None:
    options = ["--count", "6", "--steps", "20", "--width", "8", "--packed"]
    first, second = made(nfn, device, "inr", images, tmp_path, *options)
    assert_tensors_alike(first / PART, second / PART, close=1e-2)
    psnr = [[float(row["psnr"]) for row in rows_of(folder)] for folder in (first, second)]
    assert psnr[0] == pytest.approx(psnr[1], abs=0.1)


def test_a_zoo_of_wild_classifiers_is_as_good_as_that_of_the_cpu(
    images: Path, device: str, is_gpu: bool, nfn: Nfn, tmp_path: Path
) -> None:
    runs = "4" if is_gpu else "1"  # of each network, side by side on a GPU
    count = "8" if is_gpu else "2"  # two networks: an MLP and a residual one
    options = ["--count", count, "--per-network", runs, "--budget", "1", "--seed", "78"]
    folders = made(nfn, device, "wild", images, tmp_path, *options)
    both = [read_wild_rows(folder / "labels.csv") for folder in folders]
    assert both[0] and [row.file for row in both[0]] == [row.file for row in both[1]]
    apart = [abs(one.test_accuracy - other.test_accuracy) for one, other in zip(*both, strict=True)]
    # Dropout, augmentation and rounding are others there.
    assert sorted(apart)[len(apart) // 2] < 0.1
