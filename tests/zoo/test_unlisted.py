"""Networks that a table does not list are told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.zoo.unlisted import unlisted_note


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files, of which one is packed, and a table of two files and of two networks of the packed one."""
    data = tmp_path / "runs"
    (data / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        save_file({"0.weight": torch.ones(2, 3)}, data / f"{name}.safetensors")
    save_file({"0.weight": torch.ones(4, 2, 3)}, data / "packed.safetensors", {POPULATION_KEY: "4"})
    rows = ["a.safetensors,", "deep/c.safetensors,", "packed.safetensors,0", "packed.safetensors,2"]
    (data / "labels.csv").write_text("\n".join(["file,index", *rows]) + "\n")
    return data


def test_files_and_networks_of_packed_ones_are_named(folder: Path) -> None:
    names = "b.safetensors, packed.safetensors#1, packed.safetensors#3"
    assert unlisted_note([folder], None) == f"3 networks of {folder} are not in labels.csv and are left out: {names}"
    save_file({"0.weight": torch.ones(2, 3)}, folder / "z.safetensors")
    assert str(unlisted_note([folder], None)).startswith("4 networks") and "#3, ..." in str(
        unlisted_note([folder], None)
    )
    both = unlisted_note([folder, folder], None)
    assert str(both).startswith("8 networks of 2 folders are")


def test_a_packed_file_alone_is_looked_at_alone(folder: Path) -> None:
    note = str(unlisted_note([folder / "packed.safetensors"], None))
    assert note.startswith("2 networks of ") and "b.safetensors" not in note


def test_nothing_is_said_where_all_are_listed(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "all.csv"
    names = ["a.safetensors,", "b.safetensors,", "deep/c.safetensors,", *(f"packed.safetensors,{n}" for n in range(4))]
    table.write_text("\n".join(["file,index", *names]) + "\n")
    assert unlisted_note([folder], table) is None
    table.write_text(table.read_text().replace("b.safetensors,\n", ""))
    assert unlisted_note([folder], table) == f"1 network of {folder} is not in all.csv and is left out: b.safetensors"


def test_a_fit_says_what_it_leaves_out(nfn: Callable[..., Any], tmp_path: Path) -> None:
    from wild_tables import write_classifiers

    data = write_classifiers(tmp_path / "data", 40)
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    options = ["--kind", "any-classifier", "--epochs", 1, "--members", 1, "--workers", 1, "--device", "cpu"]
    finished = nfn("train", data, *options, "--out", tmp_path / "head")
    assert finished.code == 0, finished.err
    line = f"nfn: 1 network of {data} is not in labels.csv and is left out: run-39.safetensors"
    assert line in finished.err.splitlines()


def test_errors_over_several_folders_name_them(nfn: Callable[..., Any], tmp_path: Path) -> None:
    from wild_tables import write_classifiers

    data = [write_classifiers(tmp_path / name, 3) for name in ("one", "two")]
    finished = nfn("train", *data, "--kind", "any-classifier", "--out", tmp_path / "head", "--device", "cpu")
    assert finished.code == 3 and finished.err.startswith(f"nfn: {data[0]} and {data[1]}: 6 checkpoints of only 3 runs")
