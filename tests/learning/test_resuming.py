"""A fit that is stopped goes on where it stopped, and ends in the head that it would have become."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from nfn_cli.errors import DataError
from nfn_cli.learning import AccuracySettings, EvaluationReport, FitPlan, has_state, is_unfinished, train_head
from nfn_cli.learning.fit_state import STATE_FILE
from nfn_cli.nn import MonomialNFNSizes

Write = Callable[..., Path]
FILES = ("config.yaml", "model.safetensors", "README.md")


class Stopped(Exception):
    """Stands for whatever ends the process."""


@pytest.fixture(autouse=True)
def save_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfn_cli.learning.fit_state.SECONDS_BETWEEN", 0.0)


@pytest.fixture
def settings(quick: AccuracySettings) -> AccuracySettings:
    """Three members with dropout, which draws from the global generator."""
    sizes = MonomialNFNSizes(channels=4, equivariant_layers=1, invariants=4, hidden=8, dropout=0.3)
    return replace(quick, sizes=sizes, members=3, fit=replace(quick.fit, epochs=6))


def fit(
    data: Path, out: Path, settings: AccuracySettings, *, stop_after: int | None = None, overwrite: bool = False
) -> list[float]:
    """Fit a head and return the losses of the epochs that were run; stop after some of them."""
    losses: list[float] = []

    def on_epoch(loss: float) -> None:
        if len(losses) == stop_after:
            raise Stopped
        losses.append(loss)

    if stop_after is None:
        train_head(data, None, out, settings, overwrite=overwrite, on_epoch=on_epoch)
    else:
        with pytest.raises(Stopped):
            train_head(data, None, out, settings, overwrite=overwrite, on_epoch=on_epoch)
    return losses


def contents(head: Path) -> dict[str, bytes]:
    return {name: (head / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("early", [False, True], ids=["all epochs", "early stopping"])
@pytest.mark.parametrize("stops", [[1], [3, 1, 4], [6], [11], [17]])
def test_a_stopped_fit_ends_in_the_same_head(
    stops: list[int], early: bool, population: Path, settings: AccuracySettings, tmp_path: Path
) -> None:
    if early:
        settings = replace(settings, fit=replace(settings.fit, validation=0.2, patience=5))
    losses = fit(population, tmp_path / "whole" / "head", settings)
    out = tmp_path / "parts" / "head"
    told: list[float] = []
    for count in stops:
        # Whatever else happens to the global generator between two sittings does not matter.
        torch.manual_seed(count + 99)
        told += fit(population, out, settings, stop_after=count)
        assert is_unfinished(out) and not (out / "config.yaml").exists()
    told += fit(population, out, settings)
    assert told == losses
    assert contents(out) == contents(tmp_path / "whole" / "head")
    assert {path.name for path in out.iterdir()} == set(FILES)


def test_epochs_that_a_state_has_are_skipped_on_the_bar(
    population: Path, settings: AccuracySettings, tmp_path: Path
) -> None:
    fit(population, tmp_path / "head", settings, stop_after=8)
    skipped: list[int] = []
    losses: list[float] = []
    started: list[FitPlan] = []
    train_head(
        population,
        None,
        tmp_path / "head",
        settings,
        on_plan=started.append,
        on_epoch=losses.append,
        on_skip=skipped.append,
    )
    assert [plan.steps for plan in started] == [18]
    assert sum(skipped) == 8 and len(losses) == 10


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("epochs", lambda s: replace(s, fit=replace(s.fit, epochs=7))),
        ("seed", lambda s: replace(s, fit=replace(s.fit, seed=1))),
        ("validation, patience", lambda s: replace(s, fit=replace(s.fit, validation=0.2, patience=3))),
        ("members", lambda s: replace(s, members=2)),
        ("split seed", lambda s: replace(s, split_seed=5)),
        ("sizes", lambda s: replace(s, sizes=replace(s.sizes, hidden=9))),
    ],
)
def test_the_state_of_other_settings_is_refused_by_name(
    name: str,
    change: Callable[[AccuracySettings], AccuracySettings],
    population: Path,
    settings: AccuracySettings,
    tmp_path: Path,
) -> None:
    out = tmp_path / "head"
    fit(population, out, settings, stop_after=2)
    before = (out / STATE_FILE).read_bytes()
    with pytest.raises(DataError) as refused:
        train_head(population, None, out, change(settings))
    assert str(refused.value) == (
        f"{out}: holds an unfinished fit of another {name}; repeat its command to go on, or pass --overwrite to begin"
        " anew"
    )
    assert (out / STATE_FILE).read_bytes() == before


@pytest.mark.parametrize("change", ["accuracy", "weights"])
def test_the_state_of_other_data_is_refused(
    change: str, write: Write, settings: AccuracySettings, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    data, out = write(tmp_path / "data", "relu"), tmp_path / "head"
    fit(data, out, settings, stop_after=2)
    if change == "accuracy":
        text = (data / "labels.csv").read_text().splitlines()
        text[1] = text[1].rsplit(",", 2)[0] + ",0.123,12.3"
        (data / "labels.csv").write_text("\n".join(text))
    else:
        tensors = load_file(data / "run-3-1.safetensors")
        tensors["0.bias"][2] += 1e-3
        save_file(tensors, data / "run-3-1.safetensors", {"activation": "relu"})
    with pytest.raises(DataError, match="holds an unfinished fit of another data set;"):
        train_head(data, None, out, settings)


def test_overwrite_begins_anew_where_the_state_is_another(
    population: Path, settings: AccuracySettings, tmp_path: Path
) -> None:
    out, other = tmp_path / "head", replace(settings, fit=replace(settings.fit, seed=1))
    fit(population, out, settings, stop_after=9)
    assert len(fit(population, out, other, overwrite=True)) == 18
    fit(population, tmp_path / "fresh" / "head", other)
    assert contents(out) == contents(tmp_path / "fresh" / "head")


def test_replacing_a_head_is_taken_up_as_well(population: Path, settings: AccuracySettings, tmp_path: Path) -> None:
    out, other = tmp_path / "head", replace(settings, fit=replace(settings.fit, seed=1))
    fit(population, out, settings)
    fit(population, out, other, stop_after=9, overwrite=True)
    assert has_state(out) and not is_unfinished(out)
    assert len(fit(population, out, other, overwrite=True)) == 9
    assert not has_state(out)


@pytest.mark.parametrize("damage", ["cut", "text", "metadata"])
def test_a_damaged_state_is_refused(damage: str, population: Path, settings: AccuracySettings, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    out = tmp_path / "head"
    fit(population, out, settings, stop_after=2)
    path = out / STATE_FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("not a state")
    else:
        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DataError) as refused:
        train_head(population, None, out, settings)
    message = str(refused.value)
    assert re.match(re.escape(str(path)) + r": not the readable state of an unfinished fit \(", message)
    assert message.endswith("; remove it, or pass --overwrite to begin anew")
    assert len(fit(population, out, settings, overwrite=True)) == 18


def test_a_state_holds_plain_values_and_tensors_alone(
    population: Path, settings: AccuracySettings, tmp_path: Path
) -> None:
    fit(population, tmp_path / "head", settings, stop_after=8)
    with safe_open(tmp_path / "head" / STATE_FILE, framework="pt") as file:
        record = json.loads(file.metadata()["fit"])
    assert record["values"]["outcomes"] == [{"epochs": 6, "kept": 6, "validation_loss": None}]
    assert record["values"]["member"]["epoch"] == 2


def test_no_state_is_left_beside_a_head(fitted: tuple[Path, EvaluationReport]) -> None:
    assert not has_state(fitted[0])
