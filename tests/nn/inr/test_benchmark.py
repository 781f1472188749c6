"""The benchmark over INRs: what it shows to the methods, what it keeps, and what it refuses."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, functional_forward
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.zoo import InrRow, Siren
from nfn_cli.zoo.inr.labels import write_inr_rows

FOLDER = Path(__file__).parents[3] / "benchmarks" / "inr"
Load = Callable[[str], ModuleType]
TRAINING, TEST = 66, 24


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
    """A tiny SIREN for each of 66 training and 24 test pictures of three classes, which the last bias tells."""
    folder = tmp_path_factory.mktemp("zoo")
    siren, generator = Siren(channels=1, width=8), torch.Generator().manual_seed(0)
    count = TRAINING + TEST
    parameters = torch.stack([siren.initial(generator) for _ in range(count)])
    parameters[:, -1] = torch.arange(count) % 3 - 1.0
    packed = {name: part.contiguous() for name, part in siren.split(parameters).items()}
    save_file(packed, folder / "part.safetensors", {"activation": "sin", "omega_0": "30", POPULATION_KEY: str(count)})
    rows = [
        InrRow("part.safetensors", i, "train" if i < TRAINING else "test", i, fit=0, label=i % 3, psnr=None)
        for i in range(count)
    ]
    write_inr_rows(folder, rows)
    return folder


def values(point: NetworkWeights, places: Tensor) -> Tensor:
    """[networks, places, channels], float64, of places [networks, places, 2]."""
    return torch.stack(
        [
            functional_forward(
                NetworkWeights(point.architecture, {k: t[i].double() for k, t in point.tensors.items()}), p
            )
            for i, p in enumerate(places.double())
        ]
    )


def test_parts_share_no_picture(load: Load, zoo: Path) -> None:
    parts = load("population").read_parts(zoo, 40)
    runs = [set(part.runs) for part in (parts.train, parts.validation, parts.test)]
    assert [len(own) for own in runs] == [40, 4, TEST]
    assert len(set.union(*runs)) == 44 + TEST
    assert parts.classes == 3
    # All that there are, where more are asked for.
    assert len(load("population").read_parts(zoo, 1_000).train) == 60


def test_moved_networks_are_others_of_the_same_pictures(load: Load, zoo: Path) -> None:
    parts = load("population").read_parts(zoo, 40)
    places = (torch.rand(TEST, 5, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1).double()
    torch.testing.assert_close(values(parts.moved, places), values(parts.test.point, places), rtol=0, atol=1e-12)
    assert all(tensor.dtype is torch.float64 for tensor in parts.moved.tensors.values())
    for name, shift in (("layers.0.weight", 0.1), ("layers.0.bias", 0.1)):
        assert (parts.moved.tensors[name] - parts.test.point.tensors[name]).abs().max() > shift


def test_augmented_networks_show_what_a_random_grid_sees(load: Load, zoo: Path) -> None:
    from nfn_cli.nn import CoordinateProbe, CoordinateProbeSizes

    point = load("population").read_parts(zoo, 40).test.point
    probe = CoordinateProbe(point.architecture, CoordinateProbeSizes(mirror=True), 3)
    augmentation = load("augmentation").Augmentation(probe)
    torch.manual_seed(3)
    places = probe._augmented(probe.grid, TEST)
    torch.manual_seed(3)
    augmented = augmentation(point)
    shown = values(augmented, probe.grid.expand(TEST, -1, -1))
    torch.testing.assert_close(shown, values(point, places), rtol=0, atol=1e-4)
    assert (shown - values(point, probe.grid.expand(TEST, -1, -1))).abs().max() > 0.01
    assert {tensor.dtype for tensor in augmented.tensors.values()} == {torch.float32}


def test_networks_are_augmented_in_the_fit_alone(load: Load, zoo: Path) -> None:
    point = load("population").read_parts(zoo, 40).test.point
    fitting, seen = load("fitting"), []

    def augment(given: NetworkWeights) -> NetworkWeights:
        seen.append(given)
        return given

    module, read = load("methods").METHODS["flat-mlp"].make(point.architecture, 3, False)
    reader = fitting.Reader(point.architecture, module, read, augment)
    reader.fit_normalisation(fitting.tensors(point))
    reader.eval()(fitting.tensors(point))
    assert not seen
    reader.train()(fitting.tensors(point))
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["flat-mlp", "np-augmented", "hnp", "monomial-nfn-augmented", "coordinate-probe"])
def test_a_method_is_fitted_and_measured(load: Load, zoo: Path, name: str, tmp_path: Path) -> None:
    if name.startswith(("np", "hnp")):
        pytest.importorskip("nfn")
    cache, parts = load("results").Cache(tmp_path / "out"), load("population").read_parts(zoo, 40)
    load("measuring").measure(cache, parts, name, load("fitting").Budget(1, 16), seed=0)
    result = cache.results[name, 0]
    assert (result.train, result.validation, result.test, result.epoch) == (40, 4, TEST, 1)
    assert result.parameters > 1_000 and result.networks_per_second > 0
    (answers,) = cache.answers(name)
    assert answers.truth.tolist() == parts.test.targets.tolist()
    assert answers.plain.shape == answers.moved.shape == (TEST,)
    if name.startswith(("monomial", "coordinate")):
        assert torch.equal(answers.plain, answers.moved)


def test_what_is_learned_is_measured(load: Load, zoo: Path, tmp_path: Path) -> None:
    """Coordinate-Probe tells pictures that differ in brightness, as they are and moved."""
    cache, parts = load("results").Cache(tmp_path / "out"), load("population").read_parts(zoo, 60)
    load("measuring").measure(cache, parts, "plain-probe", load("fitting").Budget(12, 8), seed=0)
    for column in ("plain", "moved"):
        assert load("table").accuracy(cache.answers("plain-probe"), column).value > 0.9


def test_differences_are_paired(load: Load) -> None:
    truth = torch.arange(40) % 2
    runs = tuple(str(number // 2) for number in range(40))
    answers = load("results").Answers
    good, bad = answers(truth, truth, truth, runs), answers(truth, truth, 1 - truth, runs)
    ahead = load("table").ahead
    same, other = ahead([good], [bad, bad], "plain"), ahead([good], [good, bad], "moved")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert (other.value, other.low, other.high) == (0.5, 0.5, 0.5)


def call(out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER), "--out", str(out), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_what_is_there_is_not_done_again(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    work = ("--zoo", zoo, "--epochs", 1, "--networks", 40, "--methods", "flat-mlp", "flat-mlp-augmented")
    first = call(out, *work, "coordinate-probe")
    assert first.returncode == 0, first.stderr
    lines = (out / "results.jsonl").read_text()
    assert [json.loads(line)["method"] for line in lines.splitlines()] == [*work[-2:], "coordinate-probe"]
    again = call(out, *work, "coordinate-probe")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert (out / "results.jsonl").read_text() == lines
    # As if it had been interrupted after the first result, and continued by another method first.
    (out / "results.jsonl").write_text(lines.splitlines(keepends=True)[0])
    assert call(out, "--zoo", zoo, "--epochs", 1, "--networks", 40, "--methods", "coordinate-probe").returncode == 0
    assert call(out, *work).returncode == 0
    assert len((out / "results.jsonl").read_text().splitlines()) == 3

    table = call(out, "--table").stdout
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:] == [
        "MLP on all weights",
        "MLP on all weights, augmented",
        "Coordinate-Probe (ours)",
    ]
    refused = call(out, "--zoo", zoo, "--epochs", 2, "--networks", 40)
    assert refused.returncode == 2
    assert "another budget; choose another folder" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_refusals_are_one_line(zoo: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[object], int, str]] = [
        ([], 2, "there is no zoo; give one, or --table"),
        (["--table"], 3, "no results are kept here"),
        (["--zoo", tmp_path / "nothing"], 3, "no such folder"),
        (["--zoo", zoo, "--networks", 10], 3, "10 training, 1 validating and 24 test networks are too few"),
    ]
    for options, code, message in cases:
        done = call(tmp_path / "out", *options)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert message in done.stderr
