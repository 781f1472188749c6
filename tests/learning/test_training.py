"""From labelled checkpoints to a head's folder, and back."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError, HeadError
from nfn_cli.learning import (
    AccuracySettings,
    EvaluateSettings,
    EvaluationReport,
    FitPlan,
    FitSettings,
    crossed_residuals,
    evaluate_head,
    interval_radius,
    measure,
    part_of,
    train_head,
)
from nfn_cli.learning.beta_calibration import fitted_curve
from nfn_cli.learning.splits import first_seed, left_out_positions, positions
from nfn_cli.learning.tasks.accuracy import AccuracyLearning
from nfn_cli.nn import load_head
from nfn_cli.symmetry import GroupElement, act
from nfn_cli.zoo import read_networks

Fitted = tuple[Path, EvaluationReport]
Write = Callable[..., Path]
Check = Callable[[EvaluationReport, EvaluationReport], None]


@pytest.fixture(scope="module")
def brief(quick: AccuracySettings) -> AccuracySettings:
    """One epoch of one member, where it does not matter what is learnt."""
    return replace(quick, members=1, fit=FitSettings(epochs=1, batch_size=16))


def refusal(error: type[DataError | HeadError], data: Path, out: Path, settings: AccuracySettings) -> str:
    def forbidden(plan: object) -> None:
        raise AssertionError("the fit began")

    with pytest.raises(error) as refused:
        train_head(data, None, out, settings, on_plan=forbidden)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def relabel(folder: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Change the rows of labels.csv; None drops one."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = [new for row in csv.DictReader(file) if (new := change(row)) is not None]
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_head_ranks_held_out_runs(fitted: Fitted) -> None:
    _, report = fitted
    assert report.plain.tau.value > 0.8
    assert report.plain.r_squared.value > 0.7
    assert report.plain.mean_absolute_error.value < 0.1


def test_moving_networks_along_their_orbits_changes_nothing(fitted: Fitted) -> None:
    _, report = fitted
    assert abs(report.tau_drop) < 0.01
    assert 0 < report.drift < 1e-3
    assert report.transformed.tau.value == pytest.approx(report.plain.tau.value, abs=0.01)


def test_the_report_is_of_test_runs_alone(fitted: Fitted, population: Path) -> None:
    _, report = fitted
    held_out = [run for run in range(80) if part_of(str(run), seed=0) == "test"]
    assert (report.runs, report.networks) == (len(held_out), 2 * len(held_out))


def test_evaluating_the_saved_head_repeats_the_report(fitted: Fitted, population: Path, assert_repeats: Check) -> None:
    folder, report = fitted
    again = evaluate_head(str(folder), population)
    assert_repeats(again, report)
    assert evaluate_head(str(folder), population) == again


def test_reports_of_other_heads_do_not_repeat(fitted: Fitted, assert_repeats: Check) -> None:
    _, report = fitted
    for change in (
        {"networks": report.networks + 1},
        {
            "plain": replace(
                report.plain, r_squared=replace(report.plain.r_squared, low=report.plain.r_squared.low + 2e-7)
            )
        },
        {"drift": report.drift + 2e-6},
    ):
        with pytest.raises(AssertionError):
            assert_repeats(replace(report, **change), report)


def test_a_reloaded_head_predicts_the_same_from_any_place(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    folder, _ = fitted
    copy = tmp_path / "renamed"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    point = read_networks(population).point
    one, other = (load_head(str(place)).predict(point) for place in (folder, copy))
    for name in ("accuracy", "low", "high", "in_distribution"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert load_head(str(copy)).name == "renamed"


def test_interval_and_population_are_calibrated_on_runs_that_were_not_fitted_to(
    fitted: Fitted, population: Path
) -> None:
    head = load_head(str(fitted[0]))
    networks = read_networks(population)
    calibration = networks.select(positions(networks.runs, "calibration", 0))
    train = networks.select(positions(networks.runs, "train", 0))
    predictions, scale = head.predict(calibration.point), head.model.calibration
    ensemble = (calibration.targets - predictions.accuracy).abs()
    with torch.no_grad():
        members = [
            (calibration.targets - scale.accuracy(member(head.model.encode(calibration.point)))).abs()
            for member in head.model.members
        ]
        folds = left_out_positions(train.runs, 8, 0)
        absent = [train.select(fold) for fold in folds[:2]]
        unseen = torch.cat(
            [member(head.model.encode(own.point)) for member, own in zip(head.model.members, absent, strict=True)]
        )
    known = torch.cat([own.targets for own in absent])
    assert scale.curve.tolist() == pytest.approx(fitted_curve(unseen, known).tolist(), abs=1e-6)
    left_out = (known - scale.accuracy(unseen)).abs()
    radius = interval_radius(crossed_residuals(ensemble, torch.stack(members, dim=1), left_out), 0.9)
    assert 0 < radius < 0.3
    assert scale.radii.tolist() == pytest.approx([radius] * 5, abs=1e-6)
    assert (predictions.high - predictions.low).max().item() <= 2 * radius + 1e-6
    assert (~predictions.in_distribution).sum() <= 1
    assert head.predict(train.point).in_distribution.double().mean() > 0.9


def test_networks_unlike_the_population_are_flagged(fitted: Fitted, population: Path) -> None:
    networks = read_networks(population)
    strange = {name: tensor.clone() for name, tensor in networks.point.tensors.items()}
    # Every neuron looks the same way, and the answers hardly depend on them.
    strange["0.weight"][:] = torch.tensor([0.0, -1.0, 1.0])
    strange["2.bias"] += 10
    predictions = load_head(str(fitted[0])).predict(replace(networks.point, tensors=strange))
    assert predictions.in_distribution.double().mean() < 0.1


def test_the_folder_holds_configuration_tensors_and_card(fitted: Fitted) -> None:
    folder, _ = fitted
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "model.safetensors", "README.md"}
    record = yaml.safe_load((folder / "config.yaml").read_text())
    assert record["widths"] == [6]
    assert record["fitted"] == {
        "data": "relu",
        "labels": None,
        "networks": 160,
        "runs": 80,
        "column": "test_accuracy",
        "run_column": "run",
        "activation": None,
        "split_seed": 0,
        "folds": 8,
        "epochs": 40,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.0001,
        "seed": 0,
        "validation": 0.0,
        "patience": None,
        "kept_epochs": [40, 40],
    }


def test_a_tanh_population_is_learnt_under_signs(write: Write, quick: AccuracySettings, tmp_path: Path) -> None:
    data = write(tmp_path / "tanh", "tanh")
    report = train_head(data, None, tmp_path / "head", quick)
    assert report.plain.tau.value > 0.6
    assert abs(report.tau_drop) < 0.01
    assert load_head(str(tmp_path / "head")).config.accepted.activation == "tanh"


def test_training_repeats_exactly(population: Path, brief: AccuracySettings, tmp_path: Path) -> None:
    one, other = (train_head(population, None, tmp_path / name / "head", brief) for name in "ab")
    assert one == other
    first, second = (load_file(tmp_path / name / "head" / "model.safetensors") for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    again = train_head(population, None, tmp_path / "c" / "head", replace(brief, fit=replace(brief.fit, seed=1)))
    assert again.plain != one.plain


def test_progress_is_announced_and_told(population: Path, brief: AccuracySettings, tmp_path: Path) -> None:
    announced: list[FitPlan] = []
    losses: list[float] = []
    settings = replace(brief, members=2, fit=replace(brief.fit, epochs=3))
    train_head(population, None, tmp_path / "head", settings, on_plan=announced.append, on_epoch=losses.append)
    (plan,) = announced
    assert plan == FitPlan(networks=plan.networks, members=2, epochs=3)
    assert 100 < plan.networks < 120  # 70 % of 160
    assert plan.steps == 6 == len(losses)


def test_small_populations_get_small_batches(
    population: Path, brief: AccuracySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decided(**chosen: Any) -> tuple[int, int]:
        networks = read_networks(population)
        settings = replace(brief, fit=FitSettings(**chosen))
        fit = AccuracyLearning().decided(settings, networks, population).fit
        assert fit.epochs is not None and fit.batch_size is not None
        return fit.batch_size, fit.epochs

    assert decided() == (16, 60)  # the epochs that are usual for a Monomial-NFN
    assert decided(epochs=3) == (16, 3)
    assert decided(batch_size=64) == (64, 200)  # 400 steps
    monkeypatch.setattr("nfn_cli.learning.tasks.accuracy._SMALL", 160)
    assert decided() == (64, 200)


def test_another_split_seed_holds_out_other_runs_here_and_in_evaluation(
    population: Path, brief: AccuracySettings, assert_repeats: Check, tmp_path: Path
) -> None:
    report = train_head(population, None, tmp_path / "head", replace(brief, split_seed=7))
    assert report.runs == sum(part_of(str(run), seed=7) == "test" for run in range(80))
    assert_repeats(evaluate_head(str(tmp_path / "head"), population), report)


def test_labels_may_lie_elsewhere_and_name_another_column(
    population: Path, brief: AccuracySettings, tmp_path: Path
) -> None:
    table = tmp_path / "mine.csv"
    text = (population / "labels.csv").read_text()
    table.write_text(text.replace("test_accuracy", "other").replace("file", "file", 1))
    train_head(population, table, tmp_path / "head", replace(brief, column="other"))
    card = (tmp_path / "head" / "README.md").read_text()
    options = "--labels mine.csv --target other"
    assert f"nfn train relu --output head --kind monomial-nfn --epochs 1 --members 1 --seed 0 {options}\n" in card
    assert "nfn evaluate head relu --labels mine.csv --target other\n" in card


def test_runs_and_not_checkpoints_are_counted(write: Write, brief: AccuracySettings, tmp_path: Path) -> None:
    # Ten runs of twenty checkpoints: the few runs held out would be no measure.
    data = write(tmp_path / "few", "relu", runs=10, epochs=20)
    assert refusal(DataError, data, tmp_path / "head", brief) == (
        f"{data}: 200 checkpoints of only 10 runs cannot be split by run (at least 10 for train, 5 for calibration, 5"
        " for test); give checkpoints of more runs (30 or more), or a --run-column other than 'run' if more runs than"
        " these were trained"
    )
    message = refusal(DataError, data, tmp_path / "head", replace(brief, split_seed=0))
    assert re.search(r"few: only \d of 10 runs fall into the (calibration|test) part; give checkpoints of", message)
    assert not (tmp_path / "head").exists()


def test_a_small_population_is_split_by_the_first_seed_that_suits_it(
    write: Write, brief: AccuracySettings, assert_repeats: Check, tmp_path: Path
) -> None:
    data = write(tmp_path / "small", "relu", runs=30, epochs=1)
    report = train_head(data, None, tmp_path / "head", brief)
    head = load_head(str(tmp_path / "head"))
    seed = head.config.fitted["split_seed"]
    assert seed == first_seed([str(run) for run in range(30)], 0.9) != 0
    assert report.runs == sum(part_of(str(run), seed) == "test" for run in range(30)) >= 5
    # Enough networks calibrate the interval for it to say something.
    assert head.model.calibration.radii.max() < 1
    assert_repeats(evaluate_head(str(tmp_path / "head"), data), report)


@pytest.mark.parametrize("part", ["train", "test"])
def test_equal_accuracies_are_refused(part: str, write: Write, brief: AccuracySettings, tmp_path: Path) -> None:
    data = write(tmp_path / "equal", "relu", epochs=1)
    relabel(data, lambda row: row | ({"test_accuracy": "0.1"} if part_of(row["run"], 0) == part else {}))
    assert "accuracies to measure on are all equal" in refusal(DataError, data, tmp_path / "head", brief)


def test_an_activation_without_scalings_or_signs_is_refused(
    population: Path, brief: AccuracySettings, tmp_path: Path
) -> None:
    message = refusal(HeadError, population, tmp_path / "head", replace(brief, activation="gelu"))
    assert "activation gelu has neither scalings nor signs" in message


@pytest.mark.parametrize("place", ["file", "file/head", "readable/head"])
def test_an_impossible_place_is_refused_before_any_work(
    place: str, population: Path, brief: AccuracySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "readable").mkdir()
    # The permissions of a folder do not keep the superuser out, who may run the tests.
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "readable")
    assert "is no folder that can be written to" in refusal(DataError, population, tmp_path / place, brief)
    assert (tmp_path / "file").read_text() == "precious"


def test_weights_beyond_float32_are_refused_by_file(write: Write, brief: AccuracySettings, tmp_path: Path) -> None:
    data = write(tmp_path / "huge", "tanh", epochs=1)
    train = next(run for run in range(80) if part_of(str(run), 0) == "train")
    name = f"run-{train}-0.safetensors"
    tensors = load_file(data / name)
    save_file({key: tensor.double() * 1e200 for key, tensor in tensors.items()}, data / name, {"activation": "tanh"})
    message = ""
    with pytest.raises(DataError) as refused:
        train_head(data, None, tmp_path / "head", brief)
    message = str(refused.value)
    assert message == f"{name}: weights beyond float32's range; leave it out"


def test_a_damaged_zoo_record_is_refused_before_any_work(write: Write, brief: AccuracySettings, tmp_path: Path) -> None:
    data = write(tmp_path / "zoo", "relu", epochs=1)
    (data / "zoo.yaml").write_text("recipe: [")
    assert "not a readable zoo record" in refusal(DataError, data, tmp_path / "head", brief)


def test_measuring_moves_networks_by_the_seed_and_as_often_as_asked(
    fitted: Fitted, population: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, networks = load_head(str(fitted[0])), read_networks(population)
    found_weights: list[Tensor] = []

    def watched(element: GroupElement, point: NetworkWeights) -> NetworkWeights:
        found = act(element, point)
        found_weights.append(found.tensors["0.weight"])
        return found

    # Not the drift: rounding, of which it is made, may be the same for two seeds.
    monkeypatch.setattr("nfn_cli.learning.transformed.act", watched)
    one = measure(head, networks, EvaluateSettings(seed=0))
    assert one == measure(head, networks, EvaluateSettings(seed=0))
    measure(head, networks, EvaluateSettings(seed=1))
    more = measure(head, networks, EvaluateSettings(seed=0, samples=3))
    first, again, other, *three = found_weights
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert len(three) == 3 and torch.equal(three[0], first)
    assert not torch.allclose(three[0], three[1]) and not torch.allclose(three[1], three[2])
    assert (more.networks, more.samples) == (160, 3)
    assert more.plain == one.plain
    assert more.drift >= one.drift
