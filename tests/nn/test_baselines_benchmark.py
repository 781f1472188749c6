"""The benchmark over baselines: what it shows to them, what it keeps, and what it refuses."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.architectures import NetworkWeights, functional_forward
from nfn_cli.errors import UsageError
from nfn_cli.zoo import LabelledNetworks

FOLDER = Path(__file__).parents[2] / "benchmarks" / "generalization"
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a file of the benchmark, which is a program and no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in {path.stem for path in FOLDER.glob("*.py")} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 runs of two ReLU networks 3→6→2, whose accuracy follows from the mean of their first bias."""
    folder = tmp_path_factory.mktemp("zoo")
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number in range(120):
        tensors = {
            "0.weight": torch.randn(6, 3, generator=generator),
            "0.bias": torch.randn(6, generator=generator) + number % 7,
            "2.weight": torch.randn(2, 6, generator=generator),
            "2.bias": torch.randn(2, generator=generator),
        }
        name = f"{number}.safetensors"
        save_file(tensors, folder / name, {"activation": "relu"})
        rows.append(
            {"file": name, "run": number // 2, "test_accuracy": tensors["0.bias"].mean().div(4).sigmoid().item()}
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def networks_of(load: Load, zoo: Path, part: str, setting: str) -> LabelledNetworks:
    networks = load("population").read_zoos([zoo], "relu", None)
    return load("population").part_in(networks, part, load("settings").SETTINGS[setting])


def test_parts_share_no_run(load: Load, zoo: Path) -> None:
    runs = [set(networks_of(load, zoo, part, "relu").runs) for part in ("train", "calibration", "test")]
    assert sum(map(len, runs)) == len(set.union(*runs)) == 60


def test_runs_of_two_zoos_stay_apart(load: Load, zoo: Path, tmp_path: Path) -> None:
    population = load("population")
    other = tmp_path / "other"
    other.symlink_to(zoo)
    twin = tmp_path / "twin"
    shutil.copytree(zoo, twin)
    both = population.read_zoos([zoo, twin], "relu", None)
    assert len(both) == 240
    assert len(set(both.runs)) == 120
    assert {run.partition("/")[0] for run in both.runs} == {zoo.name, "twin"}
    few = population.read_zoos([zoo, twin], "relu", 40)
    assert len(set(few.runs)) == 80
    # A single zoo keeps the names of its runs, and so its split.
    assert set(population.read_zoos([zoo], "relu", None).runs) == {str(number) for number in range(60)}
    with pytest.raises(UsageError, match="2 zoos are called"):
        population.read_zoos([zoo, other], "relu", None)


def test_moved_copies_come_second_and_compute_the_same(load: Load, zoo: Path) -> None:
    plain = networks_of(load, zoo, "test", "relu")
    both = networks_of(load, zoo, "test", "relu-1000")
    count = len(plain)
    assert both.runs == plain.runs * 2
    torch.testing.assert_close(both.targets, plain.targets.repeat(2))
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for place in range(count):
        outputs = [
            functional_forward(
                NetworkWeights(both.point.architecture, {n: t[i].double() for n, t in both.point.tensors.items()}),
                inputs,
            )
            for i in (place, count + place)
        ]
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
    assert torch.equal(both.point.tensors["0.weight"][:count], plain.point.tensors["0.weight"])


def test_scales_are_uniform_and_not_log_uniform(load: Load, zoo: Path) -> None:
    both = networks_of(load, zoo, "train", "relu-100")
    logs = torch.linalg.vector_norm(both.point.tensors["0.weight"], dim=2).log()
    count = len(logs) // 2
    # Uniform on [1, 100], the mean of ln d is about ln 100 - 1; log-uniform it would be ln 100 / 2.
    assert (logs[count:].mean() - logs[:count].mean()).item() == pytest.approx(3.65, abs=0.25)


def test_differences_are_paired(load: Load) -> None:
    truth = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noisy = truth + torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    runs = tuple(str(number // 2) for number in range(40))
    ranking = load("results").Ranking
    good, bad = ranking(truth, noisy, runs), ranking(truth, -noisy, runs)
    agreement = load("agreement")
    same = agreement.tau_difference([good], [good, good])
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-12)
    other, alone = agreement.tau_difference([good], [bad]), agreement.tau([good])
    assert (other.value, other.low, other.high) == pytest.approx((2 * alone.value, 2 * alone.low, 2 * alone.high))


@pytest.mark.slow
def test_what_is_there_is_not_done_again(zoo: Path, tmp_path: Path) -> None:
    def call(*options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(FOLDER), "--out", str(out), *map(str, options)]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    pytest.importorskip("matplotlib")
    out = tmp_path / "results"
    work = ("--relu", zoo, "--epochs", 4, "--settings", "relu", "relu-10", "relu-100")
    first = call(*work, "--methods", "monomial-nfn", "statnn-mlp")
    assert first.returncode == 0, first.stderr
    lines = (out / "results.jsonl").read_text()
    records = {(record["method"], record["setting"]): record for record in map(json.loads, lines.splitlines())}
    assert len(records) == 6
    assert {record["fit"] for (method, _), record in records.items() if method == "monomial-nfn"} == {"relu"}
    assert records["statnn-mlp", "relu-10"]["train"] == 2 * records["statnn-mlp", "relu"]["train"]
    assert (out / "figure.png").read_bytes()[1:4] == b"PNG"

    again = call(*work, "--methods", "monomial-nfn", "statnn-mlp")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert (out / "results.jsonl").read_text() == lines
    # As if it had been interrupted after the third result.
    (out / "results.jsonl").write_text("".join(lines.splitlines(keepends=True)[:3]))
    assert call(*work, "--methods", "monomial-nfn", "statnn-mlp").returncode == 0
    assert len((out / "results.jsonl").read_text().splitlines()) == 6

    table = call("--table")
    assert table.returncode == 0
    assert [line for line in table.stdout.splitlines() if "Monomial" in line]
    refused = call("--relu", zoo, "--epochs", 5)
    assert refused.returncode == 2
    assert "another budget; choose another folder" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_refusals_are_one_line(zoo: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[object], int, str]] = [
        (["--tanh", zoo], 3, "its networks are relu networks; give it as --relu"),
        ([], 2, "there is no zoo"),
        (["--relu", zoo, "--settings", "tanh"], 2, "tanh: there is no zoo for it; give --tanh"),
        (["--table"], 3, "no results are kept here"),
        (["--relu", tmp_path / "nothing"], 3, "no such file or folder"),
        (["--relu", zoo, "--runs", 2], 3, "too few different accuracies"),
    ]
    for options, code, message in cases:
        command = [sys.executable, str(FOLDER), "--out", str(tmp_path / "out"), *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert message in done.stderr
