"""The Ray engine gives the rows of the local one, also when a worker is killed. Needs the extra `nfn-cli[ray]`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.scoring import ClassificationTask, Scored, Tally, engine_settings, run

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

pytestmark = pytest.mark.slow

HEAD = "inr-mnist"
PACKED = Path(__file__).parents[1] / "population" / "inr-mnist" / "part-00000.safetensors"
SINGLE = Path(__file__).parents[1] / "inrs"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Single files, a packed one, a damaged one, and one that is not there."""
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    tensors = {"0.weight": torch.ones(2, 4, 3), "0.bias": torch.ones(2, 4)}
    save_tensors(tmp_path / "other.safetensors", tensors, {POPULATION_KEY: "2"})
    single = sorted(str(path) for path in SINGLE.glob("mnist-*.safetensors"))
    odd = [str(tmp_path / name) for name in ("bad.safetensors", "none.pt", "other.safetensors")]
    return [*single[:3], *odd, str(PACKED), *single[3:]]


def assert_same(found: list[Scored], expected: list[Scored]) -> None:
    """Equal but for the batches that the head computed the networks in, see `score`."""
    assert [(own.row.path, own.row.label, own.row.error, own.stamp) for own in found] == [
        (other.row.path, other.row.label, other.row.error, other.stamp) for other in expected
    ]
    for own, other in zip(found, expected, strict=True):
        assert own.row.probability == pytest.approx(other.row.probability, abs=1e-6)


def test_rows_are_those_of_the_local_engine(inputs: list[str]) -> None:
    from nfn_cli.scoring.ray_engine import run_ray

    settings = engine_settings(HEAD, "cpu", None, 0, True, None, "float32")
    expected = [row for rows in run(ClassificationTask(3), inputs, settings, Tally()) for row in rows]
    assert sum(scored.row.error is None for scored in expected) == 506
    tally = Tally()
    assert_same(
        [row for rows in run_ray(ClassificationTask(3), inputs, settings.changed(jobs=1), tally) for row in rows],
        expected,
    )
    done = frozenset(scored.row.path for scored in expected[:300])
    rest = [
        row
        for rows in run_ray(ClassificationTask(3), inputs, settings.changed(jobs=1, done=done), tally)
        for row in rows
    ]
    assert_same(rest, expected[300:])
    assert tally.skipped == 300


def test_a_killed_worker_costs_no_row(inputs: list[str], tmp_path: Path) -> None:
    from nfn_cli.scoring.ray_engine import run_ray

    many = [*inputs, *[path for path in inputs if path.endswith("safetensors")] * 30]
    settings = engine_settings(HEAD, "cpu", None, 0, True, None, "float32")
    expected = [row for rows in run(ClassificationTask(3), many, settings, Tally()) for row in rows]
    found: list[Scored] = []
    killed = 0
    for number, rows in enumerate(run_ray(ClassificationTask(3), many, settings.changed(jobs=1), Tally())):
        found += rows
        if number == 1:
            listed = subprocess.run(["pgrep", "-f", "ray::"], capture_output=True, text=True, check=True).stdout
            for process in listed.split():
                name = Path(f"/proc/{process}/cmdline").read_bytes()
                if b"MapBatches" in name or b"MapWorker" in name:
                    os.kill(int(process), signal.SIGKILL)
                    killed += 1
    assert killed
    assert_same(found, expected)
