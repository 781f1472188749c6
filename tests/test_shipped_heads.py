"""The shipped heads: complete, honest in their cards, and blind to the group on real networks."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch

from nfn_cli.architectures import NetworkWeights, read_weights, stack
from nfn_cli.checkpoints import find_checkpoints, read_checkpoint
from nfn_cli.learning import evaluate_head
from nfn_cli.nn import Head, load_head, models_folder, shipped_heads, shipped_heads_of
from nfn_cli.scoring import classify, score
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import read_networks

SAMPLES = Path(__file__).parent / "samples"
# The spread of a head's predictions over its test networks, at least; samples are too few to measure it.
SPREAD = 0.03


POPULATION = Path(__file__).parent / "population"
DEFAULT = ["small-cnn-relu", "small-cnn-tanh"]
ANY = "any-classifier"
PAPERS = ["monomial-nfn-relu", "monomial-nfn-tanh"]
CLASSIFIERS = ["inr-cifar10-gray", "inr-mnist", "monomial-inr-mnist"]
EDITORS = ["contrast-cifar10-gray", "dilate-mnist", "erode-mnist", "monomial-dilate-mnist"]
INRS = Path(__file__).parent / "inrs"


@pytest.fixture(params=[*DEFAULT, *PAPERS])
def head(request: pytest.FixtureRequest) -> Head:
    return load_head(request.param)


@pytest.fixture
def samples(head: Head) -> NetworkWeights:
    """The samples that the head reads, as one batch."""
    activation = head.config.accepted.activation
    paths = [path for path in find_checkpoints([SAMPLES]) if path.name.startswith(activation)]
    return stack([read_weights(read_checkpoint(path)).weights for path in paths])


def test_all_are_shipped_and_those_that_predict_best_come_first() -> None:
    assert shipped_heads() == sorted([*DEFAULT, *PAPERS, ANY, *CLASSIFIERS, *EDITORS])
    assert list(shipped_heads_of("predict-accuracy")) == [*DEFAULT, *PAPERS, ANY]
    assert list(shipped_heads_of("classify-inr")) == CLASSIFIERS
    assert sorted(shipped_heads_of("edit-inr")) == EDITORS


def test_the_population_in_the_repository_gives_the_figures_of_the_card(head: Head) -> None:
    report = evaluate_head(head.name, POPULATION / head.config.accepted.activation, device="cpu")
    card = (models_folder() / head.name / "README.md").read_text(encoding="utf-8")
    found = re.search(r"Kendall's τ \| ([\d.]+)", card)
    assert found is not None
    assert report.plain.tau.low <= float(found.group(1)) <= report.plain.tau.high
    assert abs(report.tau_drop) <= 0.002
    assert report.drift <= 1e-5
    assert report.flags_changed == 0
    assert report.plain.flagged.low <= 0.05


def test_a_head_has_its_card_and_is_small(head: Head) -> None:
    folder = models_folder() / head.name
    card = (folder / "README.md").read_text(encoding="utf-8")
    found = re.search(r"Kendall's τ \| ([\d.]+)", card)
    assert found and 0.5 < float(found.group(1)) < 1
    assert "nfn zoo cnn" in card and f"nfn evaluate {head.name}" in card
    assert (folder / "model.safetensors").stat().st_size < 2e6


def test_predictions_do_not_move_along_the_orbit(head: Head, samples: NetworkWeights) -> None:
    plain = head.predict(samples)
    exact = NetworkWeights(samples.architecture, {name: tensor.double() for name, tensor in samples.tensors.items()})
    count = len(plain.accuracy)
    for seed in range(20):
        element = sample_element(samples.architecture, torch.Generator().manual_seed(seed), batch=(count,))
        moved = head.predict(act(element, exact))
        assert ((moved.accuracy - plain.accuracy).abs() / SPREAD).max() <= 1e-5
        assert torch.equal(moved.in_distribution, plain.in_distribution)


def test_a_batch_repeats_bit_for_bit_and_others_round_otherwise(head: Head) -> None:
    point = read_networks(POPULATION / head.config.accepted.activation).point

    def predicted(start: int, stop: int) -> torch.Tensor:
        part = {name: tensor[start:stop] for name, tensor in point.tensors.items()}
        return head.predict(NetworkWeights(point.architecture, part)).accuracy

    whole = predicted(0, 32)
    assert torch.equal(predicted(0, 32), whole)
    for size in (1, 7):
        parts = torch.cat([predicted(start, min(start + size, 32)) for start in range(0, 32, size)])
        assert (parts - whole).abs().max() < 1e-6  # 8e-8 was measured


def test_samples_are_predicted_near_the_truth_and_inside_the_population() -> None:
    with (SAMPLES / "labels.csv").open(newline="") as file:
        truth = {row["file"]: float(row["test_accuracy"]) for row in csv.DictReader(file)}
    rows = {Path(row.path).name: row for row in score(find_checkpoints([SAMPLES]), device="cpu")}
    assert rows.keys() == truth.keys()
    for name, row in rows.items():
        assert row.error is None and row.in_distribution
        assert row.accuracy == pytest.approx(truth[name], abs=0.1)


def test_networks_of_equal_weights_are_outside_the_population(head: Head, samples: NetworkWeights) -> None:
    ones = {name: torch.ones_like(tensor) for name, tensor in samples.tensors.items()}
    assert not head.predict(NetworkWeights(samples.architecture, ones)).in_distribution.any()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_inrs_in_the_repository_give_the_figures_of_the_card(name: str) -> None:
    report = evaluate_head(name, POPULATION / name.removeprefix("monomial-"), device="cpu")
    card = (models_folder() / name / "README.md").read_text(encoding="utf-8")
    found = re.search(r"\| accuracy \| ([\d.]+)", card)
    assert found is not None
    assert report.accuracy.low <= float(found.group(1)) <= report.accuracy.high
    assert report.drift <= 1e-5
    assert (report.changed, report.flags_changed) == (0, 0)
    assert report.flagged.value <= 0.05
    assert report.out_of_distribution["shuffled entries"].value > 0.9
    assert f"nfn evaluate-inr {name}" in card and "nfn zoo inr" in card
    assert (models_folder() / name / "model.safetensors").stat().st_size < 2e6


@pytest.mark.parametrize("name", ["inr-mnist", "monomial-inr-mnist"])
def test_digits_that_another_trainer_fitted_are_read(name: str) -> None:
    report = evaluate_head(name, POPULATION / "inr-mnist-second-trainer", device="cpu")
    assert report.networks == 100
    assert report.accuracy.value > 0.9
    assert report.flagged.value < 0.2
    assert (report.changed, report.flags_changed) == (0, 0)


@pytest.mark.parametrize("name", EDITORS)
def test_an_editor_has_its_card_and_is_small(name: str) -> None:
    assert "Mean squared errors" in (models_folder() / name / "README.md").read_text(encoding="utf-8")
    assert (models_folder() / name / "model.safetensors").stat().st_size < 2e6


def test_inrs_are_read_by_the_head_that_knows_such_pictures() -> None:
    rows = list(classify(sorted(INRS.glob("*.safetensors")), device="cpu"))
    assert len(rows) == 12
    for row in rows:
        assert row.error is None and row.in_distribution
        assert row.head == ("inr-mnist" if Path(row.path).name.startswith("mnist") else "inr-cifar10-gray")
    digits = [row.label for row in rows if row.head == "inr-mnist"]
    assert digits == ["1", "6", "5", "0", "7", "4"]
