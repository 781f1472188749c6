"""What a GPU computes is what the CPU does: `pytest -m gpu`, for whoever has one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn_cli.scoring import ScoreRow, pooled, score
from nfn_cli.shipped import shipped_heads
from nfn_cli.zoo.wild.labels import read_wild_rows

TESTS = Path(__file__).parents[1]
POPULATION = TESTS / "population"
GPU = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(GPU is None, reason="needs a GPU")]

# float32 sums of another order, through heads of a few layers; and what convolutions by TensorFloat-32 leave.
CLOSE = 2e-3

Nfn = Callable[..., Any]


def numbers(value: Any) -> list[float]:
    """All numbers of a report, but for times."""
    if isinstance(value, dict):
        return [number for name, own in sorted(value.items()) if name != "seconds" for number in numbers(own)]
    if isinstance(value, list):
        return [number for own in value for number in numbers(own)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def shapes(value: Any) -> Any:
    """The same without its numbers."""
    if isinstance(value, dict):
        return {name: shapes(own) for name, own in value.items()}
    if isinstance(value, list):
        return [shapes(own) for own in value]
    return None if isinstance(value, int | float) else value


def both(nfn: Nfn, *arguments: object) -> tuple[Any, Any]:
    """The JSON of a command on the CPU and on the GPU."""
    found = []
    for device in ("cpu", GPU):
        finished = nfn(*arguments, "--format", "json", "--device", device)
        assert finished.code == 0, finished.err
        found.append(json.loads(finished.out))
    return found[0], found[1]


def assert_alike(first: Any, second: Any, close: float = CLOSE) -> None:
    assert shapes(first) == shapes(second)
    assert numbers(first) == pytest.approx(numbers(second), abs=close, rel=close)


@pytest.mark.parametrize("head", ["small-cnn-relu", "small-cnn-tanh", "monomial-nfn-relu", "monomial-nfn-tanh"])
def test_predictions_are_those_of_the_cpu(head: str, nfn: Nfn) -> None:
    samples = TESTS / "samples" / f"{head.rpartition('-')[2]}-1.safetensors"
    assert_alike(*both(nfn, "predict-accuracy", samples, POPULATION / head.rpartition("-")[2], "--head", head))


def test_ranks_are_those_of_the_cpu(nfn: Nfn) -> None:
    assert_alike(*both(nfn, "rank", *sorted((TESTS / "samples").glob("relu-*"))))


@pytest.mark.parametrize("head", ["inr-mnist", "monomial-inr-mnist", "inr-cifar10-gray"])
def test_classes_are_those_of_the_cpu(head: str, nfn: Nfn) -> None:
    name = "mnist" if "mnist" in head else "cifar10"
    assert_alike(*both(nfn, "classify-inr", *sorted((TESTS / "inrs").glob(f"{name}-*")), "--head", head))


@pytest.mark.parametrize("head", ["erode-mnist", "dilate-mnist", "monomial-dilate-mnist", "contrast-cifar10-gray"])
def test_edits_are_those_of_the_cpu(head: str, nfn: Nfn, tmp_path: Path) -> None:
    path = TESTS / "inrs" / f"{'mnist' if 'mnist' in head else 'cifar10'}-1.safetensors"
    for device in ("cpu", GPU):
        finished = nfn("edit-inr", path, "--head", head, "-o", tmp_path / f"{device}.safetensors", "--device", device)
        assert finished.code == 0, finished.err
    first, second = (load_file(tmp_path / f"{device}.safetensors") for device in ("cpu", GPU))
    for name, tensor in first.items():
        assert (second[name] - tensor).abs().max() < CLOSE * (1 + tensor.abs().max())


def test_measures_are_those_of_the_cpu(nfn: Nfn) -> None:
    assert_alike(*both(nfn, "evaluate", "small-cnn-relu", POPULATION / "relu", "--split", "all"), close=2e-2)


@pytest.mark.parametrize("head", ["inr-mnist", "erode-mnist"])
def test_measures_of_inrs_are_those_of_the_cpu(head: str, nfn: Nfn) -> None:
    assert_alike(*both(nfn, "evaluate-inr", head, POPULATION / "inr-mnist", "--count", "40"), close=2e-2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", POPULATION / "relu", "--kind", "monomial-nfn"],
        ["train", POPULATION / "relu", "--kind", "monomial-probe", "--input-size", "28x28", "--stride", "2"],
        ["train-inr", "INRS", "--kind", "coordinate-probe", "--channels", "4"],
        ["train-inr", "INRS", "--kind", "monomial-inr", "--channels", "4"],
        ["train-editor", "INRS", "--edit", "erode", "--tuning", "2"],
        ["train-editor", "INRS", "--edit", "erode", "--kind", "monomial-editor"],
    ],
    ids=lambda own: "-".join(map(str, [own[0], *own[3:4]])),
)
def test_a_head_is_fitted_and_reads_on_the_cpu_as_on_the_gpu(arguments: list[Any], nfn: Nfn, tmp_path: Path) -> None:
    members = [] if arguments[0] == "train-editor" else ["--members", "1"]
    data = inr_zoo(tmp_path / "zoo") if arguments[1] == "INRS" else arguments[1]
    command = [arguments[0], data, *arguments[2:], "--epochs", "1", *members, "--out", tmp_path / "head"]
    finished = nfn(*command, "--device", GPU)
    assert finished.code == 0, finished.err
    if arguments[0] == "train":
        assert_alike(
            *both(nfn, "predict-accuracy", TESTS / "samples" / "relu-1.safetensors", "--head", tmp_path / "head")
        )
    elif arguments[0] == "train-inr":
        assert_alike(*both(nfn, "classify-inr", TESTS / "inrs" / "mnist-1.safetensors", "--head", tmp_path / "head"))
    else:
        assert_alike(*both(nfn, "evaluate-inr", tmp_path / "head", data, "--count", "8"), close=2e-2)


def inr_zoo(folder: Path) -> Path:
    """The INRs of the tests as a zoo with a training part."""
    folder.mkdir()
    (folder / "part-00000.safetensors").write_bytes((POPULATION / "inr-mnist" / "part-00000.safetensors").read_bytes())
    header, *rows = (POPULATION / "inr-mnist" / "labels.csv").read_text().splitlines()
    trained = [row.replace("test", "train") if number >= 50 else row for number, row in enumerate(rows)]
    (folder / "labels.csv").write_text("\n".join([header, *trained]) + "\n")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (64, 15, 15)).astype(np.uint8)
    labels = np.arange(64) % 4
    np.savez(tmp_path / "images.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    return tmp_path / "images.npz"


def test_a_zoo_begins_as_on_the_cpu(images: Path, nfn: Nfn, tmp_path: Path) -> None:
    options = ["--data", images, "--activation", "tanh", "--count", "4", "--epochs", "1", "--precision", "float32"]
    for device in ("cpu", GPU):
        finished = nfn("zoo", "cnn", *options, "--out", tmp_path / str(device), "--workers", "1", "--device", device)
        assert finished.code == 0, finished.err
    files = sorted(path.name for path in (tmp_path / "cpu").glob("*.safetensors"))
    assert files and files == sorted(path.name for path in (tmp_path / str(GPU)).glob("*.safetensors"))
    for file in files:
        first, second = (load_file(tmp_path / str(device) / file) for device in ("cpu", GPU))
        # Dropout draws others there: weights are of one size, not the same.
        assert all(math.isclose(first[n].std(), second[n].std(), rel_tol=0.5, abs_tol=0.1) for n in first)


def test_a_zoo_of_inrs_is_that_of_the_cpu(images: Path, nfn: Nfn, tmp_path: Path) -> None:
    options = ["--data", images, "--count", "6", "--steps", "20", "--width", "8", "--packed"]
    for device in ("cpu", GPU):
        finished = nfn("zoo", "inr", *options, "--out", tmp_path / str(device), "--workers", "1", "--device", device)
        assert finished.code == 0, finished.err
    first, second = (load_file(tmp_path / str(device) / "part-00000.safetensors") for device in ("cpu", GPU))
    for name, tensor in first.items():
        assert (second[name] - tensor).abs().max() < 1e-2


def test_a_zoo_of_wild_classifiers_is_as_good_as_that_of_the_cpu(nfn: Nfn, tmp_path: Path) -> None:
    labels = np.arange(400) % 4
    pictures = np.random.default_rng(0).integers(0, 100, (400, 8, 8)).astype(np.uint8)
    pictures[np.arange(400), labels] += 100
    np.savez(tmp_path / "rows.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    options = ["--data", tmp_path / "rows.npz", "--count", "8", "--per-network", "4", "--budget", "1"]
    options += ["--seed", "78"]  # an MLP and a residual network
    for device in ("cpu", GPU):
        finished = nfn("zoo", "wild", *options, "-o", tmp_path / str(device), "--workers", "2", "--device", device)
        assert finished.code == 0, finished.err
    both = [read_wild_rows(tmp_path / str(device) / "labels.csv") for device in ("cpu", GPU)]
    assert [row.file for row in both[0]] == [row.file for row in both[1]]
    apart = [abs(one.test_accuracy - other.test_accuracy) for one, other in zip(*both, strict=True)]
    # Dropout, augmentation and rounding are others there.
    assert sorted(apart)[len(apart) // 2] < 0.1


def test_bfloat16_is_near_float32() -> None:
    paths = sorted((TESTS / "samples").glob("relu-*"))
    rough = [row.accuracy for row in score(paths, device=GPU, dtype="bfloat16")]
    exact = [row.accuracy for row in score(paths, device=GPU)]
    assert rough == pytest.approx(exact, abs=0.05)


@pytest.mark.skipif(GPU != "cuda", reason="needs CUDA")
def test_a_full_gpu_takes_smaller_batches() -> None:
    whole = list(score(POPULATION / "relu", device="cuda"))
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    taken = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (taken + (1 << 26)) / total))
    try:
        rows = list(score(POPULATION / "relu", device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [row.error for row in rows] == [None] * len(whole)
    assert [row.accuracy for row in rows] == pytest.approx([row.accuracy for row in whole], abs=CLOSE)


@pytest.mark.skipif(GPU != "cuda", reason="needs CUDA")
def test_a_gpu_that_is_full_for_good_is_one_line(nfn: Nfn, tmp_path: Path) -> None:
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1 / total)
    path = TESTS / "inrs" / "mnist-1.safetensors"
    try:
        finished = nfn("edit-inr", path, "--edit", "erode", "-o", tmp_path / "out.safetensors", "--device", "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert finished.code == 3 and list(tmp_path.iterdir()) == []
    assert len(finished.err.strip().splitlines()) == 1 and "too little memory" in finished.err


@pytest.mark.skipif(GPU != "cuda" or not Path("/proc/self/fd").exists(), reason="needs CUDA and /proc")
def test_processes_that_only_read_never_open_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load_file(TESTS / "samples" / "relu-1.safetensors")
    for number in range(64):
        save_file(one, tmp_path / f"{number:02}.safetensors", {"activation": "relu"})
    opened: list[str] = []
    seen = 0
    rows: list[ScoreRow] = []
    for row in score(tmp_path, head="small-cnn-relu", device="cuda", jobs=2, batch_size=8):
        rows.append(row)
        for child in active_children():
            seen += 1
            opened += [link for link in links(child.pid) if "nvidia" in link]
    assert len(rows) == 64 and not any(row.error for row in rows)
    assert seen and not opened


def links(process: int | None) -> list[str]:
    """What a process has open."""
    found = []
    try:
        for entry in os.scandir(f"/proc/{process}/fd"):
            found.append(os.readlink(entry.path))
    except OSError:  # it has ended, or closed one
        pass
    return found


def test_a_head_that_is_on_the_gpu_scores_there() -> None:
    from nfn_cli.nn import load_head

    head = load_head("small-cnn-relu", str(GPU))
    paths = sorted((TESTS / "samples").glob("relu-*"))
    rows = list(score(paths, head=head))
    assert [row.accuracy for row in rows] == pytest.approx(
        [row.accuracy for row in score(paths, device="cpu")], abs=CLOSE
    )
    assert next(head.model.parameters()).device.type == GPU and not pooled.scores_in_processes(str(GPU))


def test_every_shipped_head_is_measured_here() -> None:
    measured = Path(__file__).read_text(encoding="utf-8")
    assert all(name in measured for name in shipped_heads())
