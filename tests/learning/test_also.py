"""Networks that are fitted to besides those of a zoo."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nfn_cli.errors import DataError
from nfn_cli.learning import AccuracySettings, FitPlan, FitSettings, part_of, train_head
from nfn_cli.learning.also import read_also
from nfn_cli.nn import read_head
from nfn_cli.zoo import read_networks

Write = Callable[..., Path]


@pytest.fixture
def brief(quick: AccuracySettings) -> AccuracySettings:
    """One epoch of one member."""
    return replace(quick, members=1, fit=FitSettings(epochs=1, batch_size=16))


def test_those_of_training_runs_are_fitted_to(
    population: Path, brief: AccuracySettings, write: Write, tmp_path: Path
) -> None:
    plans: list[FitPlan] = []
    copies = write(tmp_path / "copies", "relu", runs=90, epochs=3)
    settings = replace(brief, split_seed=0, also=(copies,))
    report = train_head(population, None, tmp_path / "head", settings, on_plan=plans.append)
    runs = {run for run in map(str, range(80)) if part_of(run, 0) == "train"}
    assert plans[0].networks == (2 + 3) * len(runs)
    assert report.networks == 2 * sum(part_of(str(run), 0) == "test" for run in range(80))
    head = read_head(tmp_path / "head")
    assert head.config.fitted["also"] == [{"data": "copies", "zoo": None}]
    assert head.config.fitted["also_networks"] == 3 * len(runs)
    assert head.config.fitted["networks"] == 160
    card = (tmp_path / "head" / "README.md").read_text()
    assert "--also copies" in card and f"{3 * len(runs)} other networks" in " ".join(card.split())


def test_they_change_the_fit(population: Path, brief: AccuracySettings, write: Write, tmp_path: Path) -> None:
    copies = write(tmp_path / "copies", "relu", epochs=3)
    train_head(population, None, tmp_path / "plain", brief)
    train_head(population, None, tmp_path / "more", replace(brief, also=(copies,)))
    plain, more = (read_head(tmp_path / name).model.state_dict() for name in ("plain", "more"))
    assert any((plain[name] != tensor).any() for name, tensor in more.items() if name.startswith("members"))


def test_networks_that_cannot_be_fitted_to_are_refused(
    population: Path, brief: AccuracySettings, write: Write, tmp_path: Path
) -> None:
    train = read_networks(population)
    tanh, strange = write(tmp_path / "tanh", "tanh", runs=3), write(tmp_path / "strange", "relu", runs=3)
    with (strange / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (strange / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "run": f"other-{row['run']}"} for row in rows)
    for folder, cause in {tanh: "tanh", strange: "none of its networks is of a run that is fitted to"}.items():
        with pytest.raises(DataError, match=cause):
            read_also([folder], train, brief)
