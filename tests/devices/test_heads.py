"""What shipped heads say on a GPU is what they say on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from on_devices import CLOSE, MEASURES, TESTS, Nfn, assert_alike, assert_tensors_alike, both

from nfn_cli.nn import load_head
from nfn_cli.scoring import pooled, score
from nfn_cli.shipped import shipped_heads

SAMPLES, INRS, WILD = TESTS / "samples", TESTS / "inrs", TESTS / "wild"
PREDICT = ["small-cnn-relu", "small-cnn-tanh", "monomial-nfn-relu", "monomial-nfn-tanh"]
CLASSIFY = ["inr-mnist", "monomial-inr-mnist", "inr-cifar10-gray"]
EDIT = ["erode-mnist", "dilate-mnist", "monomial-dilate-mnist", "contrast-cifar10-gray"]
ANY = "any-classifier"

Population = Callable[..., Path]


def images_of(head: str) -> str:
    return "mnist" if "mnist" in head else "cifar10"


def test_every_shipped_head_is_tried_here() -> None:
    assert sorted([*PREDICT, *CLASSIFY, *EDIT, ANY]) == shipped_heads()


def test_reports_that_differ_are_told_apart() -> None:
    rows = [{"path": "a", "accuracy": 0.5, "seconds": 1.0}]
    assert_alike(rows, [{"path": "a", "accuracy": 0.5 + CLOSE / 2, "seconds": 9.0}])
    for other in ([{"path": "a", "accuracy": 0.51, "seconds": 1.0}], [{"path": "b", "accuracy": 0.5, "seconds": 1.0}]):
        with pytest.raises(AssertionError):
            assert_alike(rows, other)


@pytest.mark.parametrize("head", PREDICT)
def test_predictions_are_those_of_the_cpu(head: str, device: str, population: Population, nfn: Nfn) -> None:
    activation = head.rpartition("-")[2]
    paths = SAMPLES / f"{activation}-1.safetensors", population(activation)
    assert_alike(*both(nfn, device, "predict-accuracy", *paths, "--head", head))


def test_predictions_for_any_classifier_are_those_of_the_cpu(device: str, is_gpu: bool, nfn: Nfn) -> None:
    folders = [WILD / f"run-{run:06d}" for run in range(40 if is_gpu else 1)]
    first, second = both(nfn, device, "predict-accuracy", *folders, "--head", ANY)
    assert {row["head"] for row in first} == {ANY}
    assert_alike(first, second)


def test_ranks_are_those_of_the_cpu(device: str, nfn: Nfn) -> None:
    assert_alike(*both(nfn, device, "rank", *sorted(SAMPLES.glob("relu-*"))))


@pytest.mark.parametrize("head", CLASSIFY)
def test_classes_are_those_of_the_cpu(head: str, device: str, nfn: Nfn) -> None:
    assert_alike(*both(nfn, device, "classify-inr", *sorted(INRS.glob(f"{images_of(head)}-*")), "--head", head))


@pytest.mark.parametrize("head", EDIT)
def test_edits_are_those_of_the_cpu(head: str, device: str, nfn: Nfn, tmp_path: Path) -> None:
    path = INRS / f"{images_of(head)}-1.safetensors"
    outs = [tmp_path / name for name in ("first.safetensors", "second.safetensors")]
    for own, out in zip(("cpu", device), outs, strict=True):
        finished = nfn("edit-inr", path, "--head", head, "-o", out, "--device", own)
        assert finished.code == 0, finished.err
    assert_tensors_alike(*outs)


def test_measures_are_those_of_the_cpu(device: str, population: Population, nfn: Nfn) -> None:
    folder = population("relu", 30)
    assert_alike(*both(nfn, device, "evaluate", "small-cnn-relu", folder, "--split", "all"), close=MEASURES)


def test_measures_for_any_classifier_are_those_of_the_cpu(device: str, is_gpu: bool, nfn: Nfn, tmp_path: Path) -> None:
    data = few_classifiers(tmp_path, 60 if is_gpu else 4)
    options = ["--split", "all", "--workers", "1"]
    assert_alike(*both(nfn, device, "evaluate", ANY, data, *options), close=MEASURES)


def few_classifiers(folder: Path, runs: int) -> Path:
    from wild_tables import write_classifiers

    return write_classifiers(folder / "wild", runs, run=True)


@pytest.mark.parametrize("head", ["inr-mnist", "erode-mnist"])
def test_measures_of_inrs_are_those_of_the_cpu(head: str, device: str, is_gpu: bool, inr_zoo: Path, nfn: Nfn) -> None:
    if head in EDIT and not is_gpu:
        pytest.skip("takes long, and editors that are fitted are measured on the CPU in test_fits.py")
    count = "40" if is_gpu else "2"
    assert_alike(*both(nfn, device, "evaluate-inr", head, inr_zoo, "--count", count), close=MEASURES)


def test_a_calibration_is_that_of_the_cpu(device: str, population: Population, nfn: Nfn, tmp_path: Path) -> None:
    reports = []
    data = population("relu", 60)
    for own, out in zip(("cpu", device), ("first", "second"), strict=True):
        options = ["--population", f"own={data}", "-o", tmp_path / out, "--device", own]
        finished = nfn("calibrate", "small-cnn-relu", *options, "--format", "json")
        assert finished.code == 0, finished.err
        reports.append(finished.out)
    names = [tmp_path / out / "model.safetensors" for out in ("first", "second")]
    assert_tensors_alike(*names, close=MEASURES)


def test_bfloat16_is_near_float32(device: str) -> None:
    paths = sorted(SAMPLES.glob("relu-*"))
    rough = [row.accuracy for row in score(paths, device=device, dtype="bfloat16")]
    exact = [row.accuracy for row in score(paths, device="cpu")]
    assert rough == pytest.approx(exact, abs=0.05) and rough != exact


def test_a_head_that_is_on_a_device_scores_there(device: str) -> None:
    head = load_head("small-cnn-relu", device)
    paths = sorted(SAMPLES.glob("relu-*"))
    rows = [row.accuracy for row in score(paths, head=head)]
    assert rows == pytest.approx([row.accuracy for row in score(paths, device="cpu")], abs=CLOSE)
    assert next(head.model.parameters()).device.type == device
    assert pooled.scores_in_processes(device) is (device == "cpu")
