"""Measuring a head on networks."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from scipy.stats import kendalltau

from nfn_cli.errors import DataError, HeadError
from nfn_cli.learning import EvaluateSettings, EvaluationReport, evaluate_head, measure, part_of
from nfn_cli.nn import load_head
from nfn_cli.zoo import LabelledNetworks, read_networks

Fitted = tuple[Path, EvaluationReport]
Write = Callable[..., Path]
ALL = EvaluateSettings(split="all")


@pytest.fixture(scope="module")
def networks(population: Path) -> LabelledNetworks:
    return read_networks(population)


def test_figures_are_those_of_the_heads_predictions(fitted: Fitted, networks: LabelledNetworks) -> None:
    head = load_head(str(fitted[0]))
    report = measure(head, networks, ALL)
    predictions, truth = head.predict(networks.point), networks.targets
    assert report.plain.tau.value == pytest.approx(kendalltau(truth, predictions.accuracy).statistic)
    assert report.plain.mean_absolute_error.value == pytest.approx((truth - predictions.accuracy).abs().mean().item())
    inside = (predictions.low <= truth) & (truth <= predictions.high)
    assert report.plain.coverage.value == pytest.approx(inside.double().mean().item())
    assert report.plain.flagged.value == pytest.approx((~predictions.in_distribution).double().mean().item())


def test_counts_histogram_and_chance(fitted: Fitted, networks: LabelledNetworks) -> None:
    report = measure(load_head(str(fitted[0])), networks, ALL)
    truth = networks.targets
    assert (report.networks, report.runs, report.level, report.head) == (160, 80, 0.9, "my-head")
    assert report.histogram_range == (truth.min().item(), truth.max().item())
    assert sum(report.histogram) == 160 and len(report.histogram) == 10
    low, high = report.histogram_range
    assert report.histogram[0] == int((truth < low + (high - low) / 10).sum())
    # Two outputs: a half is chance.
    assert report.chance_share == pytest.approx((truth <= 0.505).double().mean().item())


def test_batches_do_not_change_predictions(
    fitted: Fitted, networks: LabelledNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = load_head(str(fitted[0]))
    whole = measure(head, networks, ALL)
    monkeypatch.setattr("nfn_cli.learning.batches._MOST_NETWORKS", 7)
    assert measure(head, networks, ALL).plain.tau.value == pytest.approx(whole.plain.tau.value, abs=1e-3)


def test_only_test_runs_count_unless_all_are_asked_for(fitted: Fitted, population: Path) -> None:
    folder, report = fitted
    every = evaluate_head(str(folder), population, settings=ALL)
    assert (every.networks, every.runs) == (160, 80)
    assert report.networks < 160
    assert every.plain.tau.low <= every.plain.tau.value <= every.plain.tau.high


def only(population: Path, tmp_path: Path, keep: Callable[[dict[str, str]], bool]) -> Path:
    """A table of some of the population's rows."""
    with (population / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if keep(row)]
    table = tmp_path / "some.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def test_data_without_a_test_run_is_refused_with_the_way_out(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    table = only(population, tmp_path, lambda row: part_of(row["run"], 0) != "test")
    with pytest.raises(DataError, match="none of its runs belong to the head's test split; use --split all"):
        evaluate_head(str(fitted[0]), population, table)
    assert evaluate_head(str(fitted[0]), population, table, ALL).networks == 160 - fitted[1].networks


def test_a_single_network_is_no_measure(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    table = only(population, tmp_path, lambda row: row["file"] == "run-3-0.safetensors")
    with pytest.raises(DataError, match=r"all equal \(1 networks\); give more networks"):
        evaluate_head(str(fitted[0]), population, table, ALL)


def test_what_a_file_says_of_its_activation_is_not_overruled_by_the_head(
    fitted: Fitted, write: Write, tmp_path: Path
) -> None:
    data = write(tmp_path / "tanh", "tanh", runs=4)
    with pytest.raises(HeadError, match="the activation is tanh, the head reads relu"):
        evaluate_head(str(fitted[0]), data, settings=ALL)
    told = replace(ALL, activation="relu")
    assert evaluate_head(str(fitted[0]), data, settings=told).networks == 8


def test_a_file_that_does_not_tell_is_read_as_the_head_reads(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.mkdir()
    for path in population.iterdir():
        content = path.read_bytes()
        (silent / path.name).write_bytes(content.replace(b'"activation"', b'"acetvation"'))
    assert evaluate_head(str(fitted[0]), silent) == evaluate_head(str(fitted[0]), population)


def test_networks_that_the_head_does_not_read_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name in "ab":
        save_file({"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    (tmp_path / "labels.csv").write_text("file,test_accuracy\na.safetensors,0.1\nb.safetensors,0.2\n")
    with pytest.raises(HeadError, match="choose another head than my-head"):
        evaluate_head(str(fitted[0]), tmp_path, settings=ALL)


@pytest.mark.parametrize("seed", ["zero", None, [1]])
def test_a_heads_split_seed_must_be_a_number(seed: object, fitted: Fitted, population: Path, tmp_path: Path) -> None:
    head = tmp_path / "head"
    head.mkdir()
    for file in fitted[0].iterdir():
        (head / file.name).write_bytes(file.read_bytes())
    config = yaml.safe_load((head / "config.yaml").read_text())
    config["fitted"]["split_seed"] = seed
    (head / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(HeadError, match="its split_seed is"):
        evaluate_head(str(head), population)
    assert evaluate_head(str(head), population, settings=ALL).networks == 160


def test_a_network_without_a_finite_prediction_is_named(fitted: Fitted, networks: LabelledNetworks) -> None:
    head = load_head(str(fitted[0]))
    tensors = {name: tensor.double() for name, tensor in networks.point.tensors.items()}
    tensors["2.bias"][5] = 1e300  # the field that no group moves enters as it is
    with pytest.raises(DataError, match=r"run-2-1\.safetensors: the prediction is not finite"):
        measure(head, replace(networks, point=replace(networks.point, tensors=tensors)), ALL)


def test_a_head_that_says_the_same_of_all_has_no_tau(fitted: Fitted, networks: LabelledNetworks) -> None:
    head = load_head(str(fitted[0]))
    with torch.no_grad():
        for member in head.model.members:
            member.readout[-1].weight.zero_()  # type: ignore[index, union-attr]
    report = measure(head, networks, ALL)
    assert report.plain.tau.value != report.plain.tau.value
    assert report.drift == 0
    assert report.plain.r_squared.value <= 0


def test_scales_of_any_range_leave_predictions_alone(fitted: Fitted, networks: LabelledNetworks) -> None:
    report = measure(load_head(str(fitted[0])), networks, replace(ALL, scale_range=(1e-8, 1e8)))
    assert report.scale_range == (1e-8, 1e8)
    assert abs(report.tau_drop) < 0.01
    assert report.flags_changed == 0


def with_halves(population: Path, tmp_path: Path) -> Path:
    """A table of the population that also gives accuracies on two halves."""
    generator = torch.Generator().manual_seed(0)
    with (population / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, (even, odd) in zip(rows, (0.02 * torch.randn(len(rows), 2, generator=generator)).tolist(), strict=True):
        known = float(row["test_accuracy"])
        row |= {"even_accuracy": str(min(max(known + even, 0), 1)), "odd_accuracy": str(min(max(known + odd, 0), 1))}
    table = tmp_path / "halves.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def test_the_ceiling_of_tau_stands_beside_it_where_the_table_has_halves(
    fitted: Fitted, population: Path, tmp_path: Path
) -> None:
    table = with_halves(population, tmp_path)
    report = evaluate_head(str(fitted[0]), population, table)
    networks = read_networks(population, table)
    chosen = networks.select([place for place, run in enumerate(networks.runs) if part_of(run, 0) == "test"])
    assert chosen.halves is not None and report.tau_ceiling is not None
    assert report.tau_ceiling.value == pytest.approx(kendalltau(*chosen.halves.T).statistic)
    assert report.figures()[1] == ("ceiling of τ (label noise)", str(report.tau_ceiling), "")
    assert replace(report, tau_ceiling=None) == evaluate_head(str(fitted[0]), population)
    assert fitted[1].tau_ceiling is None and len(fitted[1].figures()) == 5
