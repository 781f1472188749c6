"""`nfn inspect`: the tensors of what is no network, and of any file with --tensors."""

from __future__ import annotations

import gc
import importlib
import io
import json
import re
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli import checkpoints
from nfn_cli.checkpoints import POPULATION_KEY, open_tensors
from nfn_cli.cli.inspections import write_inspections
from nfn_cli.cli.tables.inspection_table import Inspected
from nfn_cli.cli.tables.tensor_table import ShownTensors
from nfn_cli.errors import CheckpointError

Nfn = Callable[..., Any]

SAMPLES = Path(__file__).parents[1] / "samples"
RELU = SAMPLES / "relu-1.safetensors"
NAN = float("nan")
FACTS = ["name", "shape", "dtype", "entries", "zeros", "norm", "nan", "inf", "note"]
LINE = ["path", "tensor", "shape", "dtype", "zeros", "norm", "nan", "inf", "note", "error"]
TENSORS = ["conv1.bias", "conv1.weight", "conv2.bias", "conv2.weight", "conv3.bias", "conv3.weight"]
TENSORS += ["fc.bias", "fc.weight"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def saved(path: Path, loaded: Any) -> Path:
    torch.save(loaded, path)
    return path


@pytest.fixture
def transformer(tmp_path: Path) -> Path:
    """12 layers, with long names and one kind of number."""
    layers = {
        f"transformer.encoder.layers.{place}.self_attn.{name}": torch.ones(shape)
        for place in range(12)
        for name, shape in (("in_proj_weight", (96, 32)), ("in_proj_bias", (96,)), ("out_proj.weight", (32, 32)))
    }
    return saved(tmp_path / "transformer.pt", layers)


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def rows_of(text: str) -> list[dict[str, str]]:
    header, *lines = text.splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_what_is_no_network_is_described(nfn: Nfn, tmp_path: Path) -> None:
    loaded = {"steps": torch.tensor(3), "mask": torch.tensor([[True, False], [True, True]]), "none": torch.empty(0)}
    path = saved(tmp_path / "a.pt", loaded)
    finished = nfn("inspect", path, "--format", "table")
    refusal = "no weight matrix among its 3 tensors; give the checkpoint of a network with linear or convolution layers"
    heading, *rest = lines_of(finished.out)
    assert heading == f"{path}  torch  bool, float32, int64  3 tensors  5 numbers"
    assert rest == [
        f"no network: {refusal}",
        "tensor  shape   dtype    zeros  norm",
        "steps   scalar  int64       0%  3.00",
        "mask    2x2     bool     25.0%  1.73",
        "none    0       float32            0",
    ]
    assert finished.code == 3
    assert finished.err == f"nfn: {path}: {refusal}\n"


def test_a_state_dict_of_another_kind_of_network_is_described(nfn: Nfn, transformer: Path) -> None:
    finished = nfn("inspect", transformer, RELU, "--format", "table")
    assert finished.code == 1
    told = " ".join(finished.out.split())  # a long path breaks the line
    assert "36 tensors 50,304 numbers" in told
    assert "is part of an attention, whose heads are in no tensor; put its config.json beside the weights" in told
    assert "conv 1->16 3x3" in finished.out and "conv1.weight" not in finished.out
    assert len(finished.err.splitlines()) == 1


def test_numbers_that_are_not_finite_are_counted(nfn: Nfn, tmp_path: Path) -> None:
    weights = {"0.weight": torch.tensor([[NAN, NAN], [-float("inf"), 0.0]]), "2.weight": torch.ones(2, 2)}
    text = nfn("inspect", saved(tmp_path / "a.pt", weights), "--format", "table").out
    assert "0.weight  2x2    float32  25.0%        2 NaN, 1 Inf" in text
    assert "2.weight  2x2    float32     0%  2.00" in text


@pytest.mark.parametrize(
    ("zeros", "entries", "shown"),
    [
        *((0, 1000, "0%"), (1, 100_000, "<0.1%"), (1, 1000, "0.1%"), (1, 8, "12.5%")),
        *((999, 1000, "99.9%"), (99_999, 100_000, ">99.9%"), (1000, 1000, "100%")),
    ],
)
def test_a_share_of_zeros_is_rounded_to_neither_none_nor_all(
    nfn: Nfn, tmp_path: Path, zeros: int, entries: int, shown: str
) -> None:
    tensor = torch.ones(entries)
    tensor[:zeros] = 0
    row = lines_of(nfn("inspect", saved(tmp_path / "a.pt", {"t": tensor}), "--format", "table").out)[-1]
    assert row.split()[3] == shown


@pytest.mark.parametrize(
    ("norm", "shown"), [(0.0, "0"), (1234.5, "1.23e+03"), (123.4, "123"), (5.0, "5.00"), (1.5e-7, "1.50e-07")]
)
def test_a_norm_has_three_digits(nfn: Nfn, tmp_path: Path, norm: float, shown: str) -> None:
    row = lines_of(nfn("inspect", saved(tmp_path / "a.pt", {"t": torch.tensor(norm)}), "--format", "table").out)[-1]
    assert row.split()[-1] == shown


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", [["--format", "table"], ["--format", "json"], ["--tensors"]])
def test_odd_tensors_are_named(nfn: Nfn, tmp_path: Path, format: list[str]) -> None:
    odd = {
        "sparse": torch.eye(3).to_sparse(),
        "rows": torch.eye(3).to_sparse_csr(),
        "coded": torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
        "meta": torch.empty(3, 3, device="meta"),
        "eighths": torch.eye(3).to(torch.float8_e4m3fn),
        "nested": torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(3, 2)]),
        "complex": torch.eye(3, dtype=torch.complex64),
        "repeated": torch.zeros(1).expand(10**9, 10**9),
    }
    finished = nfn("inspect", saved(tmp_path / "a.pt", odd), *format)
    assert finished.code == 3
    assert all(name in finished.out for name in odd)
    told = ("without data (on the meta device)", "quantized", "claims more than the file holds", "complex64")
    assert all(note in finished.out for note in told)


@pytest.mark.parametrize("command", [[], ["--tensors"], ["--format", "json"], ["--format", "table"]])
def test_what_does_not_open_has_no_tensors(nfn: Nfn, tmp_path: Path, command: list[str]) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(RELU.read_bytes()[:-9])
    finished = nfn("inspect", bad, *command)
    assert finished.code == 3
    assert "conv1" not in finished.out and "no network" not in finished.out
    assert finished.err.startswith(f"nfn: {bad}: ") and len(finished.err.splitlines()) == 1


def test_tensors_of_a_network_are_shown_on_demand(nfn: Nfn) -> None:
    plain = lines_of(nfn("inspect", RELU, "--format", "table").out)
    finished = nfn("inspect", RELU, "--format", "table", "--tensors")
    assert finished.code == 0 and finished.err == ""
    lines = lines_of(finished.out)
    assert lines[: len(plain)] == plain
    header, *rows = lines[len(plain) :]
    assert header.split() == ["tensor", "shape", "dtype", "zeros", "norm"]
    assert [row.split()[0] for row in rows] == TENSORS
    assert rows[1].split() == ["conv1.weight", "16x1x3x3", "float32", "0%", "1.34"]


def test_json_has_the_tensors_of_a_network_on_demand(nfn: Nfn) -> None:
    (plain,) = json.loads(nfn("inspect", RELU, "--format", "json").out)
    (record,) = json.loads(nfn("inspect", RELU, "--format", "json", "--tensors").out)
    tensors = record.pop("tensors")
    assert record == plain
    assert [own["name"] for own in tensors] == TENSORS
    assert all(list(own) == FACTS for own in tensors)
    weight = load_file(RELU)["conv1.weight"]
    assert tensors[1].pop("norm") == pytest.approx(float(weight.double().norm()))
    finite = {"zeros": 0, "nan": 0, "inf": 0, "note": None}
    assert tensors[1] == {"name": "conv1.weight", "shape": [16, 1, 3, 3], "dtype": "float32", "entries": 144} | finite


def test_json_has_the_tensors_of_what_is_no_network(nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("inspect", saved(tmp_path / "a.pt", {"w": torch.tensor([[NAN, 0.0]])}), "--format", "json")
    assert "NaN" not in finished.out.replace("1 NaN of", "")  # no number of JSON
    (record,) = json.loads(finished.out)
    assert list(record) == ["path", "error", "format", "tensors"]
    assert finished.err == f"nfn: {record['error']}\n"
    (own,) = record["tensors"]
    values = ("w", [1, 2], "float32", 2, 1, None, 1, 0, None)
    assert own == dict(zip(FACTS, values, strict=True))


def test_a_pipe_without_tensors_has_the_error_alone(nfn: Nfn, transformer: Path) -> None:
    finished = nfn("inspect", transformer, RELU)
    first, *others = rows_of(finished.out)
    assert (first["path"], first["layer"]) == (str(transformer), "")
    assert f"nfn: {first['error']}\n" == finished.err
    assert [row["layer"] for row in others] == ["conv1", "conv2", "conv3", "fc"]


def test_a_pipe_with_tensors_gets_a_line_a_tensor(nfn: Nfn, transformer: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"no checkpoint")
    finished = nfn("inspect", RELU, transformer, bad, "--tensors")
    assert finished.code == 1
    rows = rows_of(finished.out)
    assert list(rows[0]) == LINE
    assert [row["tensor"] for row in rows[:8]] == TENSORS
    assert [row["path"] for row in rows[8:]] == [str(transformer)] * 36 + [str(bad)]
    assert {row["error"] for row in rows[:8]} == {""}
    errors = [f"nfn: {row['error']}" for row in (rows[8], rows[-1])]
    assert finished.err.splitlines() == errors
    assert {row["error"] for row in rows[8:-1]} == {rows[8]["error"]}
    assert rows[-1]["tensor"] == ""
    shown = [rows[8][name] for name in ("shape", "dtype", "zeros", "norm", "nan", "inf", "note")]
    assert shown == ["96x32", "float32", "0", "55.4256", "0", "0", ""]


def test_safetensors_names_are_in_natural_order(nfn: Nfn, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"layers.{place}.weight": torch.ones(1) for place in (10, 9, 2)}, path)
    names = [row["tensor"] for row in rows_of(nfn("inspect", path, "--tensors").out)]
    assert names == ["layers.2.weight", "layers.9.weight", "layers.10.weight"]


def test_an_optimizers_state_is_shown_by_its_places(nfn: Nfn, tmp_path: Path) -> None:
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.ones(2, 3), "exp_avg_sq": torch.ones(2, 3)}
    state = {"state": {0: moments, 1: dict(moments)}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    names = [row["tensor"] for row in rows_of(nfn("inspect", saved(tmp_path / "o.pt", state), "--tensors").out)]
    assert names[:4] == ["state.0.step", "state.0.exp_avg", "state.0.exp_avg_sq", "state.1.step"]


def test_a_packed_population_keeps_its_message(nfn: Nfn, tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    save_file({"fc.weight": torch.ones(7, 2, 3)}, path, {POPULATION_KEY: "7"})
    finished = nfn("inspect", path, "--format", "table")
    assert "no network: a packed population of 7 networks; read it with `nfn train`" in finished.out
    assert "fc.weight  7x2x3  float32" in finished.out
    assert finished.code == 3


def test_another_files_fault_names_that_file(nfn: Nfn, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"fc.weight": torch.eye(2)})
    sidecar = tmp_path / "a.yaml"
    sidecar.write_text("activation: magic")
    text = nfn("inspect", path, "--format", "table").out
    assert f"no network: {sidecar}: unknown activation" in " ".join(text.split())


def test_a_picture_that_cannot_be_written_is_no_fault_of_the_network(
    nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nfn_cli.cli.commands import inspect

    def fail(path: Path, *_: object, **__: object) -> None:
        raise CheckpointError(path, "cannot be written (No space left on device)", "make room")

    monkeypatch.setattr(inspect, "check_plot", lambda *_, **__: None)
    monkeypatch.setattr(inspect, "draw", lambda *_: b"")
    monkeypatch.setattr(inspect, "write_plot", fail)
    finished = nfn("inspect", RELU, "--plot", tmp_path / "a.png", "--format", "table")
    assert finished.code == 3
    assert "no network" not in finished.out
    assert "No space left" in finished.err


def test_names_are_no_markup_and_command_no_terminal(nfn: Nfn, tmp_path: Path) -> None:
    path = saved(tmp_path / "[red]a.pt", {"x[bold]\x1b[2J\t\n": torch.ones(2), "": torch.ones(1)})
    for command in (["--format", "table"], ["--tensors"]):
        text = nfn("inspect", path, *command).out
        assert "[red]a.pt" in text
        assert "\x1b" not in text
        assert "x[bold]\\x1b[2J\\t\\n" in text
    assert "(no name)" in nfn("inspect", path, "--format", "table").out


def terminal_lines(path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    refusal = CheckpointError(path, "no weight matrix", "give another checkpoint")
    row = Inspected(str(path), error=str(refusal), tensors=ShownTensors.of(open_tensors(path), refusal))
    terminal = Terminal()
    write_inspections([row], None, terminal)
    return lines_of(re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_tensor_takes_one_line(width: int, transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = terminal_lines(transformer, width, monkeypatch)
    start = next(place for place, line in enumerate(lines) if line.startswith("tensor "))
    assert lines[start].split() == ["tensor", "shape", "dtype", "zeros", "norm"]
    assert len(lines[start + 1 :]) == 36
    assert max(map(len, lines)) <= width
    # The reason is seen before a long table.
    assert any(line.startswith("no network: ") for line in lines[:start])


def test_long_names_are_cut_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = {"b" * 75 + "n" * 75: torch.ones(2, 2), "half": torch.ones(1, dtype=torch.float16)}
    lines = terminal_lines(saved(tmp_path / "a.pt", loaded), 80, monkeypatch)
    assert max(map(len, lines)) <= 80
    (own,) = (line.split()[0] for line in lines if line.startswith("bb"))
    assert len(own) > 20 and own.strip("bn") == "…"
    assert any("float16" in line for line in lines)


def test_a_terminal_gets_the_tensors(nfn: Nfn, transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "no network: " in nfn("inspect", transformer).out


def test_one_file_is_in_memory_at_a_time(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def watched_by(module: Any, name: str) -> Any:
        read = getattr(module, name)

        def watched(path: Path, **options: Any) -> Any:
            gc.collect()
            alive.append(sum(reference() is not None for reference in seen))
            file = read(path, **options)
            seen.extend(weakref.ref(tensor) for tensor in file.tensors.values())
            return file

        return watched

    reading = importlib.import_module("nfn_cli.architectures.read")
    monkeypatch.setattr(reading, "read_checkpoint", watched_by(reading, "read_checkpoint"))
    monkeypatch.setattr(checkpoints, "open_tensors", watched_by(checkpoints, "open_tensors"))
    for place in range(2):
        saved(tmp_path / f"{place}.pt", {"fc.weight": torch.ones(2, 2), "foreign.weight": torch.ones(2, 2, 2, 2, 2, 2)})
    saved(tmp_path / "2.pt", {"fc.weight": torch.ones(2, 2)})
    assert nfn("inspect", tmp_path, "--tensors").code == 1
    assert alive == [0] * 5
