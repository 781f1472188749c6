"""`nfn inspect`: table, lines, JSON; files that cannot be read; heads."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nfn_cli.shipped
from nfn_cli.nn import AccuracyDetails, Head, HeadConfig, sizes_of
from nfn_cli.nn.accepted import ANY_CLASSIFIER

Nfn = Callable[..., Any]

SAMPLES = Path(__file__).parents[2] / "samples"
RELU = SAMPLES / "relu-1.safetensors"
FACTS = [
    *("path", "format", "dtypes", "parameters", "activation", "activation_source", "omega_0", "pool"),
    *("orbit_dimension", "layers", "hints", "read_as", "assumed", "left", "omegas", "heads"),
    *("signature", "error"),
]
LAYER = [
    *("name", "kind", "inputs", "outputs", "kernel", "flatten", "bias", "batchnorm", "weight_norm", "dtype"),
    *("parameters", "group", "stages"),
]
GROUP = [
    *("size", "kind", "symbol", "scalings", "signs", "phases", "imbalance_median", "imbalance_largest", "dead"),
    *("duplicates", "permuted"),
]


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    """A network of which nobody tells the activation."""
    path = tmp_path / "mlp.pt"
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight[5] = 2 * net[0].weight[1]
        net[0].bias[5] = 2 * net[0].bias[1]
        net[2].weight[:, 3] = 0
    torch.save(net.state_dict(), path)
    return path


def test_json_carries_all(nfn: Nfn) -> None:
    finished = nfn("inspect", RELU, "--format", "json")
    assert finished.code == 0
    (record,) = json.loads(finished.out)
    assert list(record) == FACTS
    assert [list(layer) for layer in record["layers"]] == [LAYER] * 4
    assert [list(layer["group"]) for layer in record["layers"][:-1]] == [GROUP] * 3
    assert record["path"] == str(RELU)
    assert (record["activation"], record["activation_source"], record["format"]) == ("relu", "metadata", "safetensors")
    assert record["orbit_dimension"] == 48
    assert record["layers"][0]["kernel"] == [3, 3]
    assert record["layers"][-1]["group"] is None


def test_copies_have_one_signature_however_they_are_disguised(nfn: Nfn, tmp_path: Path) -> None:
    assert nfn("apply", RELU, "--seed", "3", "-o", tmp_path / "copy.safetensors").code == 0
    found = nfn("inspect", RELU, tmp_path / "copy.safetensors", SAMPLES / "relu-3.pt", "--format", "json")
    own, copy, other = (record["signature"] for record in json.loads(found.out))
    assert own["architecture"] == copy["architecture"] == other["architecture"]
    assert copy["values"] == pytest.approx(own["values"], abs=1e-5)
    assert other["values"] != pytest.approx(own["values"], abs=1e-2)
    table = nfn("inspect", RELU, "--format", "table").out
    assert f"signature   {own['architecture']} {own['values'][0]:.4f} " in table


def test_a_network_of_unknown_activation_has_no_signature(nfn: Nfn, mlp: Path) -> None:
    (record,) = json.loads(nfn("inspect", mlp, "--format", "json").out)
    assert record["signature"] is None


def test_json_tells_of_every_shipped_head_whether_it_reads_the_network(nfn: Nfn) -> None:
    (record,) = json.loads(nfn("inspect", RELU, "--format", "json").out)
    heads = {head["name"]: head for head in record["heads"]}
    reads = {"name": "small-cnn-relu", "accepts": True, "reason": None, "assumes": None, "other_layers": False}
    assert heads["small-cnn-relu"] == reads
    assert heads["inr-mnist"]["other_layers"] and not heads["inr-mnist"]["accepts"]
    (record,) = json.loads(nfn("inspect", RELU, "--format", "json", "--activation", "gelu").out)
    heads = {head["name"]: head for head in record["heads"]}
    assert not heads["small-cnn-relu"]["accepts"]
    assert heads["small-cnn-relu"]["reason"] == "the activation is gelu, the head reads relu"


def test_a_head_reads_a_network_of_unknown_activation_under_its_own(nfn: Nfn, tmp_path: Path) -> None:
    path = tmp_path / "untold.pt"
    torch.save(dict(torch.load(SAMPLES / "relu-3.pt", weights_only=False)["model_state_dict"]), path)
    (record,) = json.loads(nfn("inspect", path, "--format", "json").out)
    assert (record["activation"], record["activation_source"]) == (None, "unknown")
    heads = {head["name"]: head for head in record["heads"]}
    assert heads["small-cnn-relu"]["accepts"]
    assert heads["small-cnn-relu"]["assumes"] == "relu"
    assert "small-cnn-relu reads it, if its activation is relu" in nfn("inspect", path, "--format", "table").out


def test_a_pipe_gets_a_line_a_layer(nfn: Nfn) -> None:
    header, *lines = nfn("inspect", RELU, SAMPLES / "tanh-2.pth").out.splitlines()
    names = header.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    assert [row["layer"] for row in rows] == ["conv1", "conv2", "conv3", "fc"] * 2
    assert rows[0]["kernel"] == "3x3"
    assert rows[0]["group"] == "G_16^{>0}"
    assert rows[0]["heads"] == "small-cnn-relu,monomial-nfn-relu"
    assert rows[0]["bias"] == "true"
    assert rows[3]["group"] == ""
    assert rows[4]["activation_source"] == "sidecar"


def test_the_table_names_odd_neurons_and_what_to_tell(nfn: Nfn, mlp: Path) -> None:
    text = nfn("inspect", mlp, "--format", "table").out
    assert "linear 3->8" in text
    assert "P_8" in text and "8! permutations" in text
    assert "unknown" in text and "--activation" in text
    assert "0:3" in text  # dead
    text = nfn("inspect", mlp, "--format", "table", "--activation", "relu").out
    assert "8 scalings, 8! permutations" in text
    assert "relu (by option)" in text
    assert "0:1=5" in text  # duplicates
    assert "of dimension 7" in text
    assert "hint" not in text


def test_lines_name_odd_neurons(nfn: Nfn, mlp: Path) -> None:
    header, first, _ = nfn("inspect", mlp, "--activation", "relu").out.splitlines()
    row = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    assert (row["dead"], row["duplicates"]) == ("3", "1=5")


def test_a_terminal_gets_a_table(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\t" not in nfn("inspect", RELU).out


def test_folders_are_walked(nfn: Nfn) -> None:
    records = json.loads(nfn("inspect", SAMPLES, "--format", "json").out)
    assert [Path(record["path"]).name for record in records] == [
        *("relu-1.safetensors", "relu-2.safetensors", "relu-3.pt", "tanh-1.safetensors", "tanh-2.pth")
    ]


@pytest.mark.parametrize("format", [[], ["--format", "table"], ["--format", "json"]])
def test_a_damaged_file_is_one_line_and_the_others_are_shown(nfn: Nfn, tmp_path: Path, format: list[str]) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(RELU.read_bytes()[:100])
    finished = nfn("inspect", bad, RELU, *format)
    assert finished.code == 1
    assert len(finished.err.splitlines()) == 1
    assert finished.err.startswith(f"nfn: {bad}: ")
    assert "conv1" in finished.out


def test_nothing_but_damaged_files(nfn: Nfn, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"no checkpoint")
    finished = nfn("inspect", bad, "--format", "json")
    assert finished.code == 3
    (record,) = json.loads(finished.out)
    assert list(record) == ["path", "error"]
    assert finished.err == f"nfn: {record['error']}\n"


def test_a_wrong_activation_is_told_once(nfn: Nfn) -> None:
    finished = nfn("inspect", SAMPLES, "--activation", "magic")
    assert finished.code == 2
    assert finished.out == ""
    assert finished.err.startswith("nfn: --activation: unknown activation 'magic'")
    assert len(finished.err.splitlines()) == 1


def test_names_are_no_markup_and_command_no_terminal(nfn: Nfn, tmp_path: Path) -> None:
    path = tmp_path / "[red]a.pt"
    torch.save({"x[bold]\x1b[2J.weight": torch.ones(2, 3)}, path)
    text = nfn("inspect", path, "--format", "table", "--activation", "relu").out
    assert "[red]a.pt" in text
    assert "\x1b[2J" not in text
    assert "x[bold]\\x1b[2J" in text


def test_of_heads_that_do_not_read_a_network_the_nearest_is_told(nfn: Nfn) -> None:
    text = nfn("inspect", RELU, "--activation", "sin", "--format", "table").out
    (line,) = (line for line in text.splitlines() if line.startswith("head"))
    assert "none reads it: nearest small-cnn-relu: the activation is sin, the head reads relu; " in line
    assert line.endswith(" other heads do not, either")


def test_beside_heads_that_read_a_network_no_other_is_told(nfn: Nfn) -> None:
    lines = nfn("inspect", RELU, "--format", "table").out.splitlines()
    told = [line.split(maxsplit=1)[1] for line in lines if line.startswith("head")]
    assert told == ["small-cnn-relu reads it", "monomial-nfn-relu reads it"]


def test_jsonl_and_csv_have_the_lines_of_a_pipe(nfn: Nfn) -> None:
    plain = [line.split("\t") for line in nfn("inspect", RELU)[1].splitlines()]
    table = list(csv.reader(nfn("inspect", RELU, "--format", "csv")[1].splitlines()))
    records = [json.loads(line) for line in nfn("inspect", RELU, "--format", "jsonl")[1].splitlines()]
    assert table[0] == plain[0] == list(records[0])
    layer = plain[0].index("layer")
    assert [row[layer] for row in table[1:]] == [row[layer] for row in plain[1:]] == [own["layer"] for own in records]


def test_a_head_for_any_classifier_is_named_where_no_other_reads_the_network(
    nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(nfn_cli.shipped.models_folder() / "small-cnn-relu", tmp_path / "models" / "small-cnn-relu")
    sizes = sizes_of("any-classifier", members=1, width=4, hidden=2)
    config = HeadConfig(ANY_CLASSIFIER, sizes, AccuracyDetails())
    Head("any", config, config.new_model()).save(tmp_path / "models" / "any-classifier", "# card")
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", tmp_path)

    def told(*arguments: object) -> list[str]:
        lines = nfn("inspect", RELU, *arguments, "--format", "table").out.splitlines()
        return [line.split(maxsplit=1)[1] for line in lines if line.startswith("head")]

    assert told() == ["small-cnn-relu reads it"]
    assert told("--activation", "gelu")[-1] == "any-classifier reads it"
    assert told("--activation", "sin")[0].startswith("none reads it: nearest small-cnn-relu")
