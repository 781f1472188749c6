"""`nfn zoo import` from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Nfn = Callable[..., tuple[int, str, str]]
Zoo = Callable[..., NDArray[np.float32]]
Write = Callable[..., Path]


def fit_and_measure(nfn: Nfn, zoo: Path, head: Path) -> dict[str, object]:
    """What `nfn evaluate` says of a head that `nfn train` has fitted to a zoo."""
    code, _, err = nfn("train", zoo, "--out", head, "--members", 1, "--epochs", 1, "--device", "cpu")
    assert (code, err) == (0, f"nfn: head written to {head}\n")
    code, out, _ = nfn("evaluate", head, zoo, "--split", "all", "--format", "json", "--device", "cpu")
    assert code == 0
    return json.loads(out)  # type: ignore[no-any-return]


def test_a_head_is_fitted_to_an_imported_small_cnn_zoo(nfn: Nfn, small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "cifar10", ["relu"] * 50 + ["tanh"] * 3, (20, 86))
    options = ["--activation", "relu", "--step", 86, "--step", 20]
    code, out, err = nfn("zoo", "import", "small-cnn-zoo", tmp_path / "cifar10", "--out", tmp_path / "zoo", *options)
    assert (code, out) == (0, "")
    assert err == f"nfn: {tmp_path / 'zoo'}: 100 networks of 50 runs (0 not finite, dropped)\n"
    report = fit_and_measure(nfn, tmp_path / "zoo", tmp_path / "head")
    assert (report["networks"], report["runs"]) == (100, 50)


def test_a_head_is_fitted_to_an_imported_model_zoo(nfn: Nfn, trial: Write, tmp_path: Path) -> None:
    for number in range(50):
        trial(tmp_path / "mnist", number, (1, 2))
    code, out, err = nfn("zoo", "import", "model-zoo", tmp_path / "mnist", "--out", tmp_path / "zoo", "--last-epoch")
    assert (code, out) == (0, "")
    assert err == f"nfn: {tmp_path / 'zoo'}: 50 networks of 50 runs (0 not finite, dropped)\n"
    report = fit_and_measure(nfn, tmp_path / "zoo", tmp_path / "head")
    assert (report["networks"], report["runs"]) == (50, 50)


def test_skipped_trials_are_named_and_end_with_1(nfn: Nfn, trial: Write, tmp_path: Path) -> None:
    broken = trial(tmp_path / "mnist", 0)
    trial(tmp_path / "mnist", 1)
    (broken / "result.json").unlink()
    code, out, err = nfn("zoo", "import", "model-zoo", tmp_path / "mnist", "--out", tmp_path / "zoo")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"nfn: {broken / 'result.json'}: no such file; download the trial again",
        f"nfn: {tmp_path / 'zoo'}: 3 networks of 1 runs (0 not finite, dropped, 1 trials skipped)",
    ]


@pytest.mark.parametrize("kind", ["small-cnn-zoo", "model-zoo"])
def test_what_is_no_zoo_is_refused_in_one_line(kind: str, nfn: Nfn, tmp_path: Path) -> None:
    code, out, err = nfn("zoo", "import", kind, tmp_path, "--out", tmp_path / "zoo")
    assert (code, out) == (3, "")
    assert err.startswith(f"nfn: {tmp_path}") and err.count("\n") == 1
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["small-cnn-zoo", "published"],
        ["small-cnn-zoo", "published", "--out", "zoo", "--step", "86", "--last-step"],
        ["small-cnn-zoo", "published", "--out", "zoo", "--step", "-1"],
        ["model-zoo", "published", "--out", "zoo", "--epoch", "2", "--last-epoch"],
        ["model-zoo", "published", "--out", "zoo", "--where", "model::type"],
        ["model-zoo", "published", "--out", "zoo", "--count", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str], nfn: Nfn) -> None:
    code, out, err = nfn("zoo", "import", *arguments)
    assert (code, out) == (2, "")
    assert err != ""


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "nfn_cli", "zoo", "import", "small-cnn-zoo", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}
    assert "nfn_cli" in imported
    assert not imported.intersection(("torch", "numpy", "safetensors", "yaml", "tqdm"))
