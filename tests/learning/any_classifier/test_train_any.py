"""A head for any classifier: fitted to a table of several architectures, measured, and written with its card."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from wild_tables import write_classifiers

from nfn_cli.errors import DataError
from nfn_cli.learning import AnyReport, AnySettings, EvaluateSettings, evaluate_any_head, train_any_head
from nfn_cli.learning.any_classifier.report import UNRUN
from nfn_cli.learning.fit_state import has_state
from nfn_cli.nn import load_head

Fitted = tuple[Path, AnyReport]
Nfn = Callable[..., tuple[int, str, str]]
BY_RUN_ALONE = "their interval is set by left-out runs alone"
QUICK = ["--members", 1, "--epochs", 2, "--device", "cpu", "--workers", 1]


def test_a_fit_learns_what_follows_from_the_weights(fitted_any: Fitted) -> None:
    report = fitted_any[1]
    assert report.overall.tau.value > 0.5
    assert report.overall.against_constant.value < 1
    assert report.architectures == 3 and report.known_forward == 0.0
    assert report.overall.ceiling is not None and report.overall.ceiling.value > 0.8
    assert [own.name for own in report.by_task] == ["all", "few"]
    assert [own.name for own in report.by_family] == ["deep", "wide", "wider"]


def test_each_population_is_left_out_where_there_are_three(fitted_any: Fitted) -> None:
    (families,) = fitted_any[1].left_out  # two tasks say nothing of a third
    assert families.way == "family"
    assert [own.networks for own in families.populations] == [24, 24, 24]
    coverages = [own.coverage.value for own in families.populations]
    assert families.mean_coverage == pytest.approx(sum(coverages) / 3)
    assert families.lowest_coverage == min(coverages)


def test_an_evaluation_repeats_the_measurement(fitted_any: Fitted, classifiers: Path) -> None:
    folder, report = fitted_any
    again = evaluate_any_head(load_head(str(folder)), [classifiers])
    assert again.overall.tau == report.overall.tau
    assert again.overall.coverage == report.overall.coverage
    assert again.left_out == ()


def test_all_networks_are_measured_on_demand(fitted_any: Fitted, classifiers: Path) -> None:
    settings = EvaluateSettings(split="all", out_of_distribution={"a copy": classifiers})
    report = evaluate_any_head(load_head(str(fitted_any[0])), [classifiers], settings=settings)
    assert report.networks == 72
    assert report.within_tasks is not None and report.within_tasks.tasks == 2
    assert [(own.name, own.networks) for own in report.others] == [("a copy", 72)]


def test_the_card_has_every_figure(fitted_any: Fitted) -> None:
    folder, report = fitted_any
    card = (folder / "README.md").read_text(encoding="utf-8")
    for name, value, ceiling in report.figures():
        assert f"| {name} | {value} | {ceiling}".rstrip() in card
    for population in (*report.by_task, *report.by_family, *report.left_out[0].populations):
        assert f"| {population.name} | {population.networks} | {population.tau} |" in card
    assert "### Families left out" in card
    assert "nfn train zoo --output any-head --kind any-classifier --epochs 10 --members 1 --seed 0\n" in card
    assert "nfn evaluate any-head zoo\n" in card


def test_networks_that_are_run_are_measured_a_second_time_as_if_it_were_not_known_how(fitted_run: Fitted) -> None:
    folder, report = fitted_run
    assert report.known_forward == 1.0
    (again,) = report.others
    assert (again.name, again.networks) == (UNRUN, report.networks) and again.tau != report.overall.tau
    (families,) = report.left_out
    assert families.unrun is None  # fits without a family are asked about networks as they are: half of the work
    model = load_head(str(folder)).model
    assert not torch.equal(model.interval.terms, model.unrun_interval.terms)
    assert not torch.equal(model.calibration.curve, model.unrun_calibration.curve)
    card = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert f"| {UNRUN} | {again.networks} | {again.tau} |" in card and "theirs is everything" not in card
    assert BY_RUN_ALONE in card


def test_the_card_says_of_which_networks_there_were_too_few(fitted_any: Fitted) -> None:
    folder, report = fitted_any
    assert report.others == () and report.left_out[0].unrun is None
    card = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert BY_RUN_ALONE not in card
    assert "Of networks that are run there were 0, and a 90% interval takes 9: theirs is everything, 0 to 1." in card
    model = load_head(str(folder)).model
    assert model.interval.terms.eq(1).all() and not model.unrun_interval.terms.eq(1).all()


def test_architectures_are_left_out_where_the_table_says_no_more(quick: AnySettings, tmp_path: Path) -> None:
    zoo = write_classifiers(tmp_path / "zoo", 72, columns=False)
    brief = replace(quick, fit=replace(quick.fit, fit=replace(quick.fit.fit, epochs=1)))
    report = train_any_head([zoo], None, tmp_path / "head", brief)
    assert [own.way for own in report.left_out] == ["architecture"]
    assert [(own.name, own.networks) for own in report.left_out[0].populations] == [("each in turn", 72)]
    assert report.overall.ceiling is None and report.within_tasks is None


def test_a_stopped_fit_goes_on(quick: AnySettings, classifiers: Path, tmp_path: Path) -> None:
    out, brief = tmp_path / "head", replace(quick, fit=replace(quick.fit, fit=replace(quick.fit.fit, epochs=1)))
    read: list[int] = []
    skipped: list[int] = []

    def stop(epochs: int) -> None:
        if len(seen) > 3:
            raise KeyboardInterrupt
        seen.append(epochs)

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_any_head([classifiers], None, out, brief, on_steps=stop)
    assert has_state(out)
    with pytest.raises(DataError, match="holds an unfinished fit of another level"):
        train_any_head([classifiers], None, out, replace(brief, level=0.8))
    resumed: list[None] = []
    report = train_any_head(
        [classifiers],
        None,
        out,
        brief,
        on_read=read.append,
        on_skip=skipped.append,
        on_resume=lambda: resumed.append(None),
    )
    assert read == [] and sum(skipped) > 0 and len(resumed) == 1
    assert not has_state(out)
    whole = train_any_head([classifiers], None, tmp_path / "whole", brief)
    assert whole.overall == report.overall
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_two_commands_fit_and_measure(nfn: Nfn, classifiers: Path, tmp_path: Path) -> None:
    head = tmp_path / "head"
    code, out, err = nfn("train", classifiers, "--out", head, *QUICK)
    assert code == 0, err
    assert err == f"nfn: networks of 3 architectures: fitting a head for any classifier\nnfn: head written to {head}\n"
    assert out.splitlines()[0].split() == ["head", "as", "they", "are", "ceiling"]
    code, out, err = nfn("evaluate", head, classifiers, "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert {"overall", "within_tasks", "by_task", "by_family", "drift", "left_out"} <= set(report)
    assert {"tau", "ceiling", "r_squared", "coverage", "width", "flagged", "inside"} <= set(report["overall"])
    assert set(report["overall"]["tau"]) == {"value", "low", "high"}
    assert report["drift"]["unmoved"] == report["overall"]["networks"]
    code, _, err = nfn("calibrate", head, "--population", f"zoo={classifiers}", "--out", tmp_path / "other")
    assert code == 3 and err.count("\n") == 1
    assert "the interval of a head for any classifier is set when it is fitted" in err


@pytest.mark.parametrize("kind", ["monomial-nfn", "monomial-probe"])
def test_a_head_for_one_architecture_refuses_several(kind: str, nfn: Nfn, classifiers: Path, tmp_path: Path) -> None:
    options = ["--kind", kind, "--activation", "relu"]
    code, out, err = nfn("train", classifiers, "--out", tmp_path / "head", *options)
    assert (code, out) == (3, "") and err.count("\n") == 1
    assert "fit one head to networks of one architecture, or --kind any-classifier" in err
    code, _, err = nfn("train", classifiers, classifiers, "--out", tmp_path / "head", *options)
    assert code == 2 and "several folders, and the head reads one architecture" in err


@pytest.mark.parametrize(
    "given",
    [
        ["--patience", 3],
        ["--input-size", "8x8"],
        ["--validation", 0.1],
        ["--also", "zoo"],
        ["--probe-images", "digits"],
    ],
)
def test_options_without_effect_are_refused(given: list[object], nfn: Nfn, classifiers: Path, tmp_path: Path) -> None:
    code, out, err = nfn("train", classifiers, "--out", tmp_path / "head", *given)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f"nfn: {given[0]}: has no effect on a head for any classifier")


def test_an_unreadable_checkpoint_is_refused_by_name(nfn: Nfn, tmp_path: Path) -> None:
    zoo = write_classifiers(tmp_path / "zoo")
    (zoo / "run-5.safetensors").write_bytes(b"")
    code, out, err = nfn("train", zoo, "--out", tmp_path / "head", "--kind", "any-classifier", *QUICK)
    assert (code, out) == (3, "") and err.count("\n") == 1
    assert f"{zoo / 'run-5.safetensors'}: " in err
    assert not (tmp_path / "head").exists()


def test_too_few_runs_are_refused(nfn: Nfn, tmp_path: Path) -> None:
    zoo = write_classifiers(tmp_path / "zoo", 9)
    code, out, err = nfn("train", zoo, "--out", tmp_path / "head", *QUICK)
    assert (code, out) == (3, "") and err.count("\n") == 1
    assert "9 checkpoints of only 9 runs cannot be split by run" in err


def test_halves_that_are_no_numbers_are_refused(nfn: Nfn, tmp_path: Path) -> None:
    zoo = write_classifiers(tmp_path / "zoo")
    rows = list(csv.reader((zoo / "labels.csv").open(newline="")))
    rows[3][-1] = "half"
    with (zoo / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code, out, err = nfn("train", zoo, "--out", tmp_path / "head", "--kind", "any-classifier", *QUICK)
    assert (code, out) == (3, "") and err.count("\n") == 1
    assert f"{zoo / 'labels.csv'}:4: not a number" in err
