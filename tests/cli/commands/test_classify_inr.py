"""`nfn classify-inr` from end to end, with a tiny head in a folder: what is printed where, and exit codes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.architectures import Layer, chain
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.nn import Accepted, ClassDetails, CoordinateProbeSizes, Head, HeadConfig

Nfn = Callable[..., tuple[int, str, str]]
Save = Callable[..., Path]
COLUMNS = ["path", "label", "probability", "entropy", "probabilities", "head", "in_distribution", "distance", "error"]
CLASSES = ("cat", "polar bear", "[red]fox[/]")


def inr(width: int, hidden_layers: int = 2) -> list[Layer]:
    sizes = [2, *[width] * hidden_layers, 1]
    return [Layer(f"fc{i}", "linear", sizes[i], sizes[i + 1]) for i in range(hidden_layers + 1)]


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a head that nobody trained."""
    torch.manual_seed(0)
    sizes = CoordinateProbeSizes(side=8, channels=2)
    config = HeadConfig(Accepted.of(chain(inr(5), activation="sin")), sizes, ClassDetails(CLASSES))
    folder = tmp_path_factory.mktemp("heads") / "animals"
    Head("animals", config, config.new_model().eval()).save(folder, "")
    return folder


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a random INR."""

    def call(name: str = "a.safetensors", *, seed: int = 0, width: int = 5, hidden_layers: int = 2) -> Path:
        generator = torch.Generator().manual_seed(seed)
        architecture = chain(inr(width, hidden_layers), activation="sin")
        tensors = {spec.name: torch.randn(*spec.shape, generator=generator) / 5 for spec in architecture.tensors}
        save_file(tensors, tmp_path / name, {"activation": "sin", "omega_0": "30", "chain": "true"})
        return tmp_path / name

    return call


@pytest.fixture
def classify(nfn: Nfn, head: Path) -> Nfn:
    """The command with the head, on the CPU."""

    def call(*arguments: object) -> Any:
        return nfn("classify-inr", *arguments, "--head", head, "--device", "cpu")

    return call


def save_cnn(path: Path) -> Path:
    tensors: dict[str, Tensor] = {"conv.weight": torch.zeros(4, 1, 3, 3), "conv.bias": torch.zeros(4)}
    save_file(tensors | {"fc.weight": torch.zeros(2, 4), "fc.bias": torch.zeros(2)}, path, {"activation": "relu"})
    return path


# --- formats -------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines(classify: Nfn, save: Save) -> None:
    path = save()
    code, out, err = classify(path)
    assert (code, err) == (0, "")
    header, line = out.splitlines()
    assert header.split("\t") == COLUMNS
    cells = dict(zip(COLUMNS, line.split("\t"), strict=True))
    assert (cells["path"], cells["head"], cells["error"]) == (str(path), "animals", "")
    assert cells["label"] in CLASSES and 1 / 3 <= float(cells["probability"]) <= 1
    assert 0 <= float(cells["entropy"]) <= 1.585
    assert cells["probabilities"].startswith(f"{cells['label']}:{float(cells['probability']):g}")


def test_json_lines_hold_the_probabilities_as_a_mapping(classify: Nfn, save: Save) -> None:
    paths = [save(f"{seed}.safetensors", seed=seed) for seed in range(3)]
    code, out, _ = classify(*paths, "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["path"] for row in rows] == list(map(str, paths))
    for row in rows:
        assert list(row) == COLUMNS
        assert set(row["probabilities"]) == set(CLASSES)
        assert row["probabilities"][row["label"]] == max(row["probabilities"].values()) == row["probability"]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["error"] is None
    code, out, _ = classify(*paths, "--format", "json")
    assert (code, json.loads(out)) == (0, rows)


def test_csv_has_a_header_and_one_cell_for_the_probabilities(classify: Nfn, save: Save) -> None:
    path = save('comma, quote".safetensors')
    code, out, _ = classify(path, "--format", "csv", "--top", 2)
    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0 and list(row) == COLUMNS
    assert row["path"] == str(path) and row["error"] == ""
    assert row["probabilities"].startswith(f"{row['label']}:0.") and row["probabilities"].count(":") == 2


def test_the_table_names_the_classes_that_come_next(classify: Nfn, save: Save) -> None:
    path = save()
    code, out, _ = classify(path, "--format", "table")
    assert code == 0
    told = json.loads(classify(path, "--format", "jsonl")[1])
    first, second, third = told["probabilities"].items()
    words = " ".join(out.split())
    assert "checkpoint class probability entropy next head" in words
    assert f"{first[0]} {first[1]:.1%} {told['entropy']:.2f} bit" in words
    # Names that look like markup are printed as they are.
    assert f"{second[0]} {second[1]:.1%}, {third[0]} {third[1]:.1%} animals" in words


def test_the_table_tells_what_failed(classify: Nfn, save: Save, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").touch()
    code, out, err = classify(save(), tmp_path / "bad.safetensors", "--format", "table")
    assert code == 1 and out.splitlines()[-1].split() == [str(tmp_path / "bad.safetensors"), "failed"]
    # The reason is told once.
    assert "the file is empty" not in out
    assert err.count(f"nfn: {tmp_path / 'bad.safetensors'}: the file is empty") == 1


@pytest.mark.parametrize(("top", "told"), [(1, 1), (2, 2), (3, 3), (50, 3)])
def test_top_says_how_many_classes_are_told(top: int, told: int, classify: Nfn, save: Save) -> None:
    code, out, _ = classify(save(), "--top", top, "--format", "jsonl")
    assert code == 0 and len(json.loads(out)["probabilities"]) == told


# --- what is read --------------------------------------------------------------------------------------------------


def test_another_width_works(classify: Nfn, save: Save) -> None:
    code, out, err = classify(save(width=11), "--format", "jsonl")
    assert (code, err) == (0, "") and json.loads(out)["label"] in CLASSES


def test_a_packed_zoo_has_a_row_a_network(classify: Nfn, tmp_path: Path) -> None:
    architecture = chain(inr(5), activation="sin")
    tensors = {spec.name: torch.randn(3, *spec.shape) / 5 for spec in architecture.tensors}
    path = tmp_path / "zoo.safetensors"
    save_file(tensors, path, {"activation": "sin", "omega_0": "30", "arch": "siren", POPULATION_KEY: "3"})
    code, out, err = classify(path, "--format", "jsonl")
    assert code == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == [f"{path}#{place}" for place in range(3)]
    assert err.startswith("nfn: 3 scored, 0 failed")


def test_what_was_assumed_is_noted(classify: Nfn, tmp_path: Path) -> None:
    architecture = chain(inr(5), activation="sin")
    save_file(
        {spec.name: torch.ones(spec.shape) / 5 for spec in architecture.tensors},
        tmp_path / "a.safetensors",
        {"arch": "siren"},
    )
    code, _, err = classify(tmp_path / "a.safetensors")
    assert code == 0
    assert err == (
        "nfn: assumed: activation sin, as head animals reads it (1 file does not say); see --activation\n"
        "nfn: assumed: omega_0 30, as head animals reads it (1 file does not say); "
        "say it in a file nfn.yaml beside them (omega_0: 30)\n"
    )
    (tmp_path / "nfn.yaml").write_text("omega_0: 30")
    assert classify(tmp_path / "a.safetensors", "--activation", "sin")[2] == ""


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_cnn_is_refused_clearly(classify: Nfn, tmp_path: Path) -> None:
    code, out, err = classify(save_cnn(tmp_path / "cnn.safetensors"), "--format", "jsonl")
    assert (code, err.count("\n")) == (3, 1)
    assert err.startswith(f"nfn: {tmp_path / 'cnn.safetensors'}: ")
    assert "layer conv is conv 3x3 from 1, the head reads linear from 2" in err
    assert json.loads(out)["error"] in err and json.loads(out)["label"] is None


@pytest.mark.parametrize(
    ("hidden_layers", "cause"),
    [
        (1, "layer fc1 is linear to 1, the head reads linear"),
        (3, "layer fc2 is linear, the head reads linear to 1"),
    ],
)
def test_another_depth_is_refused_by_the_layer(hidden_layers: int, cause: str, classify: Nfn, save: Save) -> None:
    code, _, err = classify(save(hidden_layers=hidden_layers))
    assert (code, err.count("\n")) == (3, 1)
    assert cause in err


def test_the_exit_code_tells_whether_all_some_or_none_failed(classify: Nfn, save: Save, tmp_path: Path) -> None:
    good, bad = save(), save_cnn(tmp_path / "cnn.safetensors")
    assert classify(good)[0] == 0
    assert classify(good, bad)[0] == 1
    assert classify(bad)[0] == 3


def test_a_head_for_another_command_is_refused_before_any_row(nfn: Nfn, save: Save, head: Path) -> None:
    code, out, err = nfn("classify-inr", save(), "--head", "monomial-nfn-relu")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "a head for `nfn predict-accuracy`; give one for `nfn classify-inr`" in err
    code, out, err = nfn("predict-accuracy", save(), "--head", head)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert f"{head}: a head for `nfn classify-inr`; give one for `nfn predict-accuracy`" in err


def test_what_is_no_head_is_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    for name in ("no-such-head", tmp_path):
        code, out, err = nfn("classify-inr", save(), "--head", name)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "no such head" in err or "no head here" in err


def test_an_empty_folder_is_an_error(classify: Nfn, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = classify(tmp_path / "empty")
    assert code == 3 and "no checkpoint in this folder" in err


@pytest.mark.parametrize(
    "options",
    [["--top", 0], ["--top", "many"], ["--format", "xml"], ["--batch-size", 0], ["--activation", "rm"]],
    ids=str,
)
def test_wrong_usage_leaves_with_two(options: list[object], classify: Nfn, save: Save) -> None:
    code, out, _ = classify(save(), *options)
    assert (code, out) == (2, "")


# --- output to a file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "csv", "jsonl", "txt"])
def test_output_holds_the_rows_and_stdout_nothing(suffix: str, classify: Nfn, save: Save, tmp_path: Path) -> None:
    path, out = save(), tmp_path / "out" / f"rows.{suffix}"
    out.parent.mkdir()
    code, printed, _ = classify(path, "--output", out)
    assert (code, printed) == (0, "")
    assert [own.name for own in out.parent.iterdir()] == [out.name]
    assert out.read_text().count(str(path)) == 1
    assert any(name in out.read_text() for name in CLASSES)


def test_an_existing_output_is_refused_before_any_work(classify: Nfn, save: Save, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    out.write_text("precious")
    code, printed, err = classify(save(), "--output", out)
    assert (code, printed, err) == (2, "", f"nfn: {out}: exists already; pass --overwrite to replace it\n")
    assert out.read_text() == "precious"
    assert classify(save(), "--output", out, "--overwrite")[0] == 0
    assert json.loads(out.read_text())[0]["head"] == "animals"


def test_a_failure_half_way_leaves_no_file_and_the_old_one_alone(
    classify: Nfn, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Head, "predict", broken)
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("precious")
    before = {path.name for path in tmp_path.iterdir()} | {"a.safetensors"}
    assert classify(save(), "--output", new)[0] == 130
    assert classify(save(), "--output", old, "--overwrite")[0] == 130
    assert old.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_output_in_a_missing_folder_is_refused(classify: Nfn, save: Save, tmp_path: Path) -> None:
    code, printed, err = classify(save(), "--output", tmp_path / "missing" / "rows.json")
    assert (code, printed) == (3, "") and "its folder does not exist" in err


# --- pictures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", None])
def test_pictures_leave_what_programs_read_alone(format: str | None, classify: Nfn, save: Save) -> None:
    path = save()
    given = ["--format", format] if format else []
    code, out, _ = classify(path, *given)
    drawn, with_pictures, err = classify(path, "--render", *given)
    assert (code, drawn) == (0, 0)
    assert with_pictures == out
    assert any(shade in err for shade in "\u2591\u2592\u2593\u2588\u2580")


def test_below_a_table_pictures_stand_on_stdout(classify: Nfn, save: Save) -> None:
    _, out, err = classify(save(), "--render", "--format", "table")
    assert any(shade in out for shade in "\u2591\u2592\u2593\u2588\u2580")
    assert not any(shade in err for shade in "\u2591\u2592\u2593\u2588\u2580")


@pytest.mark.parametrize("given", [".", "./a.safetensors"])
def test_what_is_here_is_drawn(
    given: str, classify: Nfn, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a.safetensors")
    monkeypatch.chdir(tmp_path)
    _, out, _ = classify(given, "--render", "--format", "table")
    assert any(shade in out for shade in "\u2591\u2592\u2593\u2588\u2580")
