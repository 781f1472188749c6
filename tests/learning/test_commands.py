"""`nfn train` and `nfn evaluate` from end to end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.learning import EvaluationReport

Nfn = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
Fitted = tuple[Path, EvaluationReport]


def edit(folder: Path, old: str, new: str, count: int = 1) -> None:
    text = (folder / "labels.csv").read_text()
    assert old in text
    (folder / "labels.csv").write_text(text.replace(old, new, count))


@pytest.fixture
def data(write: Write, tmp_path: Path) -> Path:
    """A population of this test's own, one checkpoint a run."""
    return write(tmp_path / "data", "relu", epochs=1)


def test_a_head_is_fitted_and_measured_by_two_commands(nfn: Nfn, population: Path, tmp_path: Path) -> None:
    head = tmp_path / "my-head"
    code, out, err = nfn("train", population, "--out", head, "--members", 1, "--epochs", 100, "--device", "cpu")
    assert code == 0
    assert err == f"nfn: head written to {head}\n"
    lines = out.splitlines()
    assert lines[0].split() == ["my-head", "as", "they", "are", "transformed"]
    assert [line.split("  ")[0] for line in lines[1:6]] == [
        "Kendall's τ",
        "R²",
        "mean absolute error",
        "coverage of the 90 % interval",
        "out of distribution",
    ]
    code, out, err = nfn("evaluate", head, population, "--format", "json", "--device", "cpu")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["head"] == "my-head"
    assert set(report["plain"]["tau"]) == {"value", "low", "high"}
    assert report["plain"]["tau"]["value"] > 0.4
    assert f"{report['plain']['tau']['value']:.3f}" in lines[1]
    assert sum(report["histogram"]) == report["networks"]


def test_options_reach_the_measurement(nfn: Nfn, fitted: Fitted, population: Path) -> None:
    options = ["--split", "all", "--samples", 2, "--scale-range", 0.5, 2, "--format", "json"]
    code, out, _ = nfn("evaluate", fitted[0], population, *options)
    report = json.loads(out)
    assert (code, report["networks"], report["samples"], report["scale_range"]) == (0, 160, 2, [0.5, 2.0])


def test_other_populations_reach_the_table_and_the_card(
    nfn: Nfn, fitted: Fitted, population: Path, tmp_path: Path
) -> None:
    code, out, _ = nfn("evaluate", fitted[0], population, "--ood", f"a copy={population}")
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines()[6:11]] == [
        "out of distribution: flagged",
        "shuffled entries",
        "Gaussian weights",
        "one layer x10",
        "a copy",
    ]
    options = ["--members", 1, "--epochs", 1, "--ood", f"a copy={population}", "--out", tmp_path / "head"]
    assert nfn("train", population, *options)[0] == 0
    assert "\n| a copy | 160 | " in (tmp_path / "head" / "README.md").read_text()


def test_json_has_none_for_what_is_not_known(nfn: Nfn, fitted: Fitted, population: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "run-0-0.safetensors").write_bytes((population / "run-0-0.safetensors").read_bytes())
    options = ["--ood", f"copy={copy}", "--format", "json"]
    report = json.loads(nfn("evaluate", fitted[0], population, *options)[1])
    assert report["out_of_distribution"][3]["kind"] == "copy"
    assert report["out_of_distribution"][3]["trained_flagged"] is None
    assert set(report["out_of_distribution"][0]["flagged"]) == {"value", "low", "high"}


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("given", [["mnist"], ["=zoo"], ["mnist="], ["a=b", "a=c"]])
def test_other_populations_without_a_name_are_wrong_usage(
    command: str, given: list[str], nfn: Nfn, population: Path, tmp_path: Path
) -> None:
    head = ["--out", tmp_path / "head"] if command == "train" else [population]
    code, out, err = nfn(command, population, *head, *(word for text in given for word in ("--ood", text)))
    assert (code, out) == (2, "")
    assert err.startswith("nfn: --ood: ") and err.count("\n") == 1


def test_missing_populations_are_refused_before_any_work(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    err = refused(nfn, "train", data, "--out", tmp_path / "head", "--ood", f"x={tmp_path / 'none'}")
    assert f"{tmp_path / 'none'}: no such file or folder" in err
    assert not (tmp_path / "head").exists()


def test_an_existing_head_is_refused_before_any_work(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    code, out, err = nfn("train", tmp_path / "no data", "--out", tmp_path / "head")
    assert (code, out) == (2, "")
    assert err == f"nfn: {tmp_path / 'head'}: exists already; pass --overwrite to replace it\n"


def test_overwrite_replaces_a_head(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    head = tmp_path / "head"
    options = ["--members", 1, "--epochs", 1]
    assert nfn("train", data, "--out", head, *options)[0] == 0
    before = (head / "model.safetensors").read_bytes()
    assert nfn("train", data, "--out", head, *options, "--seed", 1, "--overwrite")[0] == 0
    assert (head / "model.safetensors").read_bytes() != before


def refused(nfn: Nfn, *arguments: object) -> str:
    """The one line on stderr of a command that could do nothing."""
    code, out, err = nfn(*arguments)
    assert (code, out) == (3, "")
    assert err.startswith("nfn: ") and err.count("\n") == 1
    return err


def test_a_missing_table_is_refused(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    (data / "labels.csv").unlink()
    err = refused(nfn, "train", data, "--out", tmp_path / "head")
    assert err == f"nfn: {data / 'labels.csv'}: no such file; give the CSV file with one row a checkpoint\n"


def test_a_missing_column_is_refused(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    err = refused(nfn, "train", data, "--out", tmp_path / "head", "--target", "val_acc")
    assert "no column 'val_acc' (it has file, run, test_accuracy, percent); add it, or name another column" in err


def test_percentages_are_refused(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    err = refused(nfn, "train", data, "--out", tmp_path / "head", "--target", "percent")
    assert "give accuracies as fractions between 0 and 1" in err


def test_too_few_runs_are_refused(nfn: Nfn, write: Write, tmp_path: Path) -> None:
    few = write(tmp_path / "few", "relu", runs=12)
    err = refused(nfn, "train", few, "--out", tmp_path / "head")
    assert "24 checkpoints of only 12 runs cannot be split by run" in err and "give checkpoints of more runs" in err


def test_a_file_listed_outside_the_folder_is_refused(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    (data / "run-0-0.safetensors").rename(tmp_path / "outside.safetensors")
    edit(data, "run-0-0.safetensors", "../outside.safetensors")
    err = refused(nfn, "train", data, "--out", tmp_path / "head")
    assert f"../outside.safetensors: the labels point outside {data};" in err


def test_several_architectures_are_refused_by_a_head_for_one(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(data / "run-5-0.safetensors")
    tensors |= {"0.weight": tensors["0.weight"][:5], "0.bias": tensors["0.bias"][:5]}
    tensors["2.weight"] = tensors["2.weight"][:, :5].contiguous()
    save_file(tensors, data / "run-5-0.safetensors", {"activation": "relu"})
    err = refused(nfn, "train", data, "--out", tmp_path / "head", "--kind", "monomial-nfn")
    assert "run-5-0.safetensors: is linear 3->5, linear 5->2 (relu), while run-0-0.safetensors is linear 3->6" in err


def test_an_unreadable_checkpoint_is_refused_by_name(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    (data / "run-5-0.safetensors").write_bytes(b"")
    err = refused(nfn, "train", data, "--out", tmp_path / "head")
    assert f"{data / 'run-5-0.safetensors'}: the file is empty" in err
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize("head", ["no-such-head", "."])
def test_evaluating_what_is_no_head_is_refused(
    head: str, nfn: Nfn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such head" in (err := refused(nfn, "evaluate", head, data)) or "no head here" in err


def test_an_interrupted_fit_writes_no_head(
    nfn: Nfn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nfn_cli.learning.train.fit_stages", interrupted)
    line = f"nfn: {tmp_path / 'head'}: interrupted; nothing is kept, the same command starts over\n"
    assert nfn("train", data, "--out", tmp_path / "head") == (130, "", line)
    assert not (tmp_path / "head").exists()


def test_runs_of_the_table_keep_checkpoints_together(
    nfn: Nfn, fitted: Fitted, population: Path, tmp_path: Path
) -> None:
    # The same checkpoints without the column `run`: each then counts as a run of its own.
    with (population / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "files.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "test_accuracy"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    options = ["--split", "all", "--format", "json"]
    with_runs = json.loads(nfn("evaluate", fitted[0], population, *options)[1])
    without = json.loads(nfn("evaluate", fitted[0], population, "--labels", tmp_path / "files.csv", *options)[1])
    assert (with_runs["runs"], without["runs"]) == (80, 160)
    assert with_runs["plain"]["tau"]["value"] == without["plain"]["tau"]["value"]
