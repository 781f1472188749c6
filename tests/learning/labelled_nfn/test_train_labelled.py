"""`nfn train --kind monomial-any` for a zoo of residual networks and transformers, and what its head then says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from labelled_zoo import write_zoo

from nfn_cli.learning import AnyReport, AnySettings, FitSettings, evaluate_any_head, train_any_head
from nfn_cli.learning.any_classifier.fit import AnyFitSettings
from nfn_cli.nn import load_head
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAnySizes

Nfn = Callable[..., tuple[int, str, str]]
QUICK = AnySettings(
    fit=AnyFitSettings(
        MonomialAnySizes(members=1, channels=4, neurons=6, hidden=16, dropout=0.0),
        FitSettings(epochs=10, batch_size=16, learning_rate=1e-2),
    )
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("labelled") / "zoo", 48)


@pytest.fixture(scope="module")
def fitted(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnyReport]:
    folder = tmp_path_factory.mktemp("heads") / "labelled-head"
    return folder, train_any_head([zoo], None, folder, QUICK)


def test_a_fit_learns_what_follows_from_the_weights(fitted: tuple[Path, AnyReport]) -> None:
    report = fitted[1]
    assert report.overall.tau.value > 0.5 and report.architectures == 2
    assert [own.name for own in report.by_family] == ["residual", "transformer"]


def test_no_prediction_moves_along_an_orbit(fitted: tuple[Path, AnyReport]) -> None:
    drift = fitted[1].drift
    assert drift.networks == fitted[1].networks and drift.unmoved == 0
    assert drift.largest < 1e-3 and drift.flags_changed == 0


def test_an_evaluation_repeats_the_measurement(fitted: tuple[Path, AnyReport], zoo: Path) -> None:
    folder, report = fitted
    again = evaluate_any_head(load_head(str(folder)), [zoo])
    assert again.overall.tau == report.overall.tau and again.overall.coverage == report.overall.coverage


def test_the_card_says_what_it_reads(fitted: tuple[Path, AnyReport]) -> None:
    card = " ".join((fitted[0] / "README.md").read_text(encoding="utf-8").split())
    assert "the weights alone, of any network whose group nfn knows" in card
    assert "--kind monomial-any" in card and "it is known how they are run" not in card


def test_commands_train_and_predict(fitted: tuple[Path, AnyReport], zoo: Path, nfn: Nfn, tmp_path: Path) -> None:
    files = [zoo / f"run-{run}" / "model.safetensors" for run in (0, 1)]
    code, out, err = nfn("predict-accuracy", *files, "--head", fitted[0], "--format", "json", "--jobs", 1)
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()] if out.lstrip().startswith("{") else json.loads(out)
    assert len(rows) == 2 and all(row["status"] == "ok" for row in rows), rows
    head = tmp_path / "head"
    options = ["--kind", "monomial-any", "--members", 1, "--epochs", 1, "--device", "cpu", "--workers", 1]
    code, _, err = nfn("train", zoo, "--out", head, *options)
    assert code == 0, err
    assert load_head(str(head)).config.accepted.by_labels
