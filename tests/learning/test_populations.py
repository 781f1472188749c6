"""An interval over several populations: what sets it, what measures it, and that nothing else of a head changes."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nfn_cli.errors import DataError
from nfn_cli.learning import (
    AccuracySettings,
    EvaluationReport,
    IntervalReport,
    calibrate_head,
    interval_radius,
    train_head,
)
from nfn_cli.nn import load_head, models_folder
from nfn_cli.nn.head import read_config
from nfn_cli.zoo import read_networks

Fitted = tuple[Path, EvaluationReport]
Nfn = Callable[..., tuple[int, str, str]]
Shifted = Callable[[str, float], Path]


@pytest.fixture
def shifted(population: Path, tmp_path: Path) -> Shifted:
    """The population again, with accuracies that are off by so much, under a name."""

    def call(name: str, by: float) -> Path:
        folder = tmp_path / name
        shutil.copytree(population, folder)
        with (folder / "labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        with (folder / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                accuracy = min(1.0, max(0.0, float(row["test_accuracy"]) + by))
                writer.writerow(row | {"test_accuracy": accuracy})
        return folder

    return call


def errors(head: str, folder: Path) -> torch.Tensor:
    networks = read_networks(folder)
    return (load_head(head).predict(networks.point).accuracy - networks.targets).abs()


def test_the_interval_is_wide_enough_for_each_and_nothing_else_changes(
    fitted: Fitted, population: Path, shifted: Shifted, tmp_path: Path
) -> None:
    folder, _ = fitted
    off = shifted("off", 0.1)
    report = calibrate_head(str(folder), {"own": population, "off": off}, tmp_path / "new")
    before, after = load_head(str(folder)), load_head(str(tmp_path / "new"))
    own, other = errors(str(folder), population), errors(str(folder), off)
    # 320 residuals: one half-width for all, which the population asks for that errs more.
    assert interval_radius(torch.cat([own, other]), 0.9) < interval_radius(other, 0.9)
    assert after.model.calibration.radii[0].item() == pytest.approx(interval_radius(other, 0.9))
    assert report.radii == pytest.approx(after.model.calibration.radii.tolist())
    changed = {
        name
        for name, tensor in after.model.state_dict().items()
        if not torch.equal(tensor, before.model.state_dict()[name])
    }
    assert changed <= {"calibration.knots", "calibration.radii"}
    point = read_networks(population).point
    assert torch.equal(after.predict(point).accuracy, before.predict(point).accuracy)
    assert torch.equal(after.predict(point).in_distribution, before.predict(point).in_distribution)


def test_each_population_is_measured_by_what_it_did_not_set(
    fitted: Fitted, population: Path, shifted: Shifted, tmp_path: Path
) -> None:
    folder, _ = fitted
    off = shifted("off", 0.3)
    report = calibrate_head(str(folder), {"own": population, "off": off}, tmp_path / "new")
    own, other = report.populations
    wide = interval_radius(errors(str(folder), off), 0.9)
    narrow = interval_radius(errors(str(folder), population), 0.9)
    assert own.left_out is not None and other.left_out is not None
    assert own.left_out.coverage.value == pytest.approx((errors(str(folder), population) <= wide).double().mean())
    assert other.left_out.coverage.value == pytest.approx((errors(str(folder), off) <= narrow).double().mean())
    assert other.left_out.coverage.value < 0.1 < 0.9 < own.left_out.coverage.value
    assert other.before.coverage.value < other.taken_in.coverage.value
    assert own.before.width < own.taken_in.width


def test_an_interval_is_tried_on_runs_that_did_not_set_it(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    """Each run errs by another amount; ten runs, so each fold is one: the largest lies outside what the others set."""
    folder, _ = fitted
    few = tmp_path / "few"
    few.mkdir()
    with (population / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["run"]) < 10]
    predicted = load_head(str(folder)).predict(read_networks(population).point).accuracy
    with (few / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for place, row in enumerate(rows):
            shutil.copy(population / row["file"], few)
            toward = 1 if predicted[place] < 0.5 else -1
            accuracy = predicted[place].item() + toward * 0.02 * (1 + int(row["run"]))
            writer.writerow(row | {"test_accuracy": accuracy})
    report = calibrate_head(str(folder), {"few": few}, tmp_path / "new")
    (own,) = report.populations
    # Of 18 residuals of the other nine runs, the 18th is the largest: two of the twenty networks are outside.
    assert own.taken_in.coverage.value == pytest.approx(0.9)
    assert own.left_out is None
    in_sample = (errors(str(tmp_path / "new"), few) <= report.radii[0] + 1e-6).double().mean()
    assert in_sample > 0.9


def test_the_card_tells_it_and_keeps_the_rest(
    fitted: Fitted, population: Path, shifted: Shifted, tmp_path: Path
) -> None:
    folder, _ = fitted
    out = tmp_path / "new"
    before = (folder / "README.md").read_text()
    report = calibrate_head(str(folder), {"own": population, "far off": shifted("off", 0.1)}, out)
    card = (out / "README.md").read_text()
    for own in report.populations:
        assert (
            f"| {own.name} | 160 (80 runs) | {own.flagged} | {own.before} | {own.taken_in} | {own.left_out} |" in card
        )
    command = f"nfn calibrate {folder.name} --population own=relu --population 'far off=off' --output new\n"
    assert command in card
    text = " ".join(card.split())
    assert f"asks for (320 checkpoints of 160 runs), cut to [0, 1]: ± {report.radii[0]:.4f}." in text
    assert "| coverage of the 90% interval | see" in card
    kept = [line for line in before.splitlines() if "Kendall" in line or "nfn " in line or "distribution" in line]
    assert all(line in card for line in kept)
    again = tmp_path / "again" / "new"
    again.parent.mkdir()
    calibrate_head(str(out), {"own": population}, again)
    anew = (again / "README.md").read_text()
    assert anew.count("## Interval on several populations") == anew.count("A curve, fitted") == 1
    assert "far off" not in anew
    assert "nfn calibrate new --population own=relu --output new --overwrite\n" in anew
    assert read_config(again).fitted["interval"]["populations"].keys() == {"own"}


@pytest.mark.parametrize("name", ["small-cnn-relu", "monomial-nfn-tanh"])
def test_cards_of_earlier_versions_are_told_too(name: str, fitted: Fitted, population: Path, tmp_path: Path) -> None:
    head = tmp_path / "head"
    shutil.copytree(fitted[0], head)
    before = (models_folder() / name / "README.md").read_text(encoding="utf-8")
    (head / "README.md").write_text(before, encoding="utf-8")
    report = calibrate_head(str(head), {"own": population}, tmp_path / "new")
    card = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    assert card.count("A curve, fitted") == card.count("## Interval on several populations") == 1
    assert f"± {report.radii[0]:.4f}." in card and "| coverage of the 90% interval | see" in card
    kept = [line for line in before.splitlines() if line.startswith(("| Kendall", "nfn train", "A network is outside"))]
    assert len(kept) == 3 and all(line in card for line in kept)


@pytest.fixture
def nothing_changes(fitted: Fitted) -> Any:
    """The files of the fitted head are as they were."""
    before = {path.name: path.read_bytes() for path in fitted[0].iterdir()}
    yield
    assert {path.name: path.read_bytes() for path in fitted[0].iterdir()} == before


@pytest.mark.usefixtures("nothing_changes")
def test_the_command_prints_and_refuses(fitted: Fitted, population: Path, nfn: Nfn, tmp_path: Path) -> None:
    folder, _ = fitted
    out = tmp_path / "new"
    code, text, err = nfn("calibrate", folder, "--population", f"own={population}", "--out", out, "--format", "json")
    assert code == 0 and err == f"nfn: head written to {out}\n"
    told = json.loads(text)
    assert told["populations"][0]["networks"] == 160 and told["populations"][0]["left_out"] is None
    code, text, _ = nfn("calibrate", folder, "--population", f"own={population}", "--out", out, "--overwrite")
    assert code == 0
    assert f"90 % interval: ± {told['radii'][0]:.4f}" in text
    if len(set(told["radii"])) == 1:
        assert text.splitlines()[-1] == f"90 % interval: ± {told['radii'][0]:.4f}"

    def refusal(*arguments: object) -> tuple[int, str]:
        code, text, err = nfn("calibrate", *arguments)
        assert text == "" and err.count("\n") == 1
        return code, err

    assert refusal(folder, "--population", f"own={population}", "--out", out)[0] == 2
    twice = ("--population", f"own={population}") * 2
    assert refusal(folder, *twice, "--out", tmp_path / "x") == (
        2,
        "nfn: --population: the name own is given twice; give each folder its own name\n",
    )
    code, told_ = refusal("small-cnn-relu", "--population", f"own={population}", "--out", tmp_path / "x")
    assert code == 3 and told_.startswith(f"nfn: {population}: ")
    assert not (tmp_path / "x").exists()


def test_too_few_networks_are_refused(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    lines = (population / "labels.csv").read_text().splitlines(keepends=True)[:10]
    (few / "labels.csv").write_text("".join(lines))
    for line in lines[1:]:
        shutil.copy(population / line.split(",")[0], few)
    with pytest.raises(Exception, match="only 9 networks, and a 90% interval takes 10"):
        calibrate_head(str(fitted[0]), {"few": few}, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_reports_are_plain_data(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    report = calibrate_head(str(fitted[0]), {"own": population}, tmp_path / "new")
    assert isinstance(report, IntervalReport) and report.head == "new" and report.level == 0.9


def test_a_folder_of_other_files_is_no_place_for_a_head(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(DataError, match="holds files, and no head; choose a new or an empty folder"):
        calibrate_head(str(fitted[0]), {"own": population}, tmp_path)
    with pytest.raises(DataError, match="holds files, and no head"):
        train_head(population, None, tmp_path, AccuracySettings(), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_first_members_alone_may_stay(fitted: Fitted, population: Path, nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "new"
    command = ["calibrate", fitted[0], "--population", f"own={population}"]
    assert nfn(*command, "--members", 1, "--out", out)[0] == 0
    before, after = load_head(str(fitted[0])), load_head(str(out))
    point = read_networks(population).point
    assert (before.config.members, after.config.members) == (2, 1)
    logits = before.model.members[0](before.model.encode(point))
    assert torch.allclose(after.predict(point).accuracy, before.model.calibration.accuracy(logits), atol=1e-7)
    assert not torch.equal(after.predict(point).accuracy, before.predict(point).accuracy)
    far = point.mapped(lambda tensor: tensor**3)
    for own in (point, far):
        assert torch.equal(after.predict(own).in_distribution, before.predict(own).in_distribution)
    card = (out / "README.md").read_text()
    text = " ".join(card.split())
    assert "One network with" in text and "in all, the first of 2 that were fitted." in text
    assert "test runs, all 2 members\n" in card and "--members 1 --output new\n" in card
    assert "--members 2 --seed 0" in card  # the command that fitted them
    again = tmp_path / "again"
    assert nfn("calibrate", out, "--population", f"own={population}", "--out", again)[0] == 0
    text = " ".join((again / "README.md").read_text().split())
    assert text.count("the first of 2 that were fitted") == text.count("all 2 members") == 1
    code, stdout, err = nfn(*command, "--members", 3, "--out", tmp_path / "none")
    assert (code, stdout, err.count("\n")) == (3, "", 1) and "has 2 members, not 3" in err
