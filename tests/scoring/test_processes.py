"""The engine with processes: the rows of one process, also when some of the others are killed."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli import processes
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.scoring import AccuracyTask, Scored, Tally, chunks, engine_settings, pooled, run
from nfn_cli.scoring.worker_group import KilledError, WorkerGroup

Save = Callable[..., Path]

# What the processes import: a test's own module is not theirs.
HELPERS = """
import os, signal
from nfn_cli.scoring import AccuracyTask
from nfn_cli.scoring.reading import read_chunk

class Deadly(AccuracyTask):
    def rows(self, head, names, point):
        if any("deadly" in name for name in names):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(head, names, point)

def double(shared, job, on_steps):
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "fail":
        raise ValueError(job)
    return shared, os.getpid(), job * 2
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "nfn_test_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.delitem(importlib.sys.modules, "nfn_test_helpers", raising=False)  # type: ignore[attr-defined]
    return importlib.import_module("nfn_test_helpers")


def packed(path: Path, networks: int) -> Path:
    generator = torch.Generator().manual_seed(7)
    shapes = {"0.weight": (6, 3), "0.bias": (6,), "2.weight": (2, 6), "2.bias": (2,)}
    tensors = {name: torch.randn(networks, *shape, generator=generator) for name, shape in shapes.items()}
    save_file(tensors, path, {POPULATION_KEY: str(networks), "activation": "relu"})
    return path


Parts = Callable[..., Iterator[list[Scored]]]


@pytest.fixture
def parts_of(models: Path) -> Parts:
    """Run the engine with a head in a folder: what this process ships, others do not."""

    def call(
        paths: list[Path], task: AccuracyTask | None = None, tally: Tally | None = None, **changes: object
    ) -> Iterator[list[Scored]]:
        settings = engine_settings(models / "a-relu", "cpu", None, 0, True, None, "float32").changed(**changes)
        return run(task or AccuracyTask(), map(str, paths), settings, tally or Tally())

    return call


@pytest.fixture
def scored_by(parts_of: Parts) -> Callable[..., list[Scored]]:
    return lambda *arguments, **options: [row for part in parts_of(*arguments, **options) for row in part]


def assert_same(rows: list[Scored], expected: list[Scored]) -> None:
    assert [(own.row.path, own.row.error, own.stamp) for own in rows] == [
        (own.row.path, own.row.error, own.stamp) for own in expected
    ]
    for own, other in zip(rows, expected, strict=True):
        assert own.row.accuracy == pytest.approx(other.row.accuracy, abs=1e-6)


@pytest.fixture
def inputs(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Single files, packed ones among them, a damaged one and one that is not there; read by two or three."""
    monkeypatch.setattr(chunks, "_MOST_FILES", 2)
    monkeypatch.setattr(chunks, "MEMBERS_TOGETHER", 4)
    (tmp_path / "bad.pt").write_bytes(b"bad")
    single = [save(f"{number}.safetensors", seed=number) for number in range(6)]
    first, second = packed(tmp_path / "first.safetensors", 11), packed(tmp_path / "second.safetensors", 3)
    return [first, single[0], single[1], tmp_path / "bad.pt", second, *single[2:5], tmp_path / "none.pt", single[5]]


NAMES = [f"first.safetensors#{place}" for place in range(11)] + ["0.safetensors", "1.safetensors", "bad.pt"]
NAMES += [f"second.safetensors#{place}" for place in range(3)]
NAMES += ["2.safetensors", "3.safetensors", "4.safetensors", "none.pt", "5.safetensors"]


Score = Callable[..., list[Scored]]
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("jobs", "ordered", "whole"),
    [
        (2, True, True),
        pytest.param(1, True, True, marks=SLOW),
        pytest.param(2, False, True, marks=SLOW),
        pytest.param(2, True, False, marks=SLOW),
        pytest.param(2, False, False, marks=SLOW),
    ],
)
def test_rows_are_those_of_one_process(
    jobs: int, ordered: bool, whole: bool, inputs: list[Path], scored_by: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a GPU: the processes read alone, and batches are joined here.
    monkeypatch.setattr(pooled, "scores_in_processes", lambda device: whole)
    expected = scored_by(inputs)
    assert [Path(own.row.path).name for own in expected] == NAMES
    assert [Path(own.row.path).name for own in expected if own.row.error] == ["bad.pt", "none.pt"]
    rows = scored_by(inputs, jobs=jobs, ordered=ordered)
    if not ordered:
        rows, expected = (sorted(own, key=lambda own: own.row.path) for own in (rows, expected))
    assert_same(rows, expected)


@pytest.mark.parametrize("jobs", [0, pytest.param(2, marks=SLOW)])
def test_what_is_there_already_is_passed_over_also_within_packed_files(
    jobs: int, inputs: list[Path], scored_by: Score
) -> None:
    expected = scored_by(inputs)
    there = [number for number in range(len(expected)) if number % 3 != 1]
    done = frozenset(expected[number].row.path for number in there)
    rest = [own for number, own in enumerate(expected) if number not in there]
    tally = Tally()
    assert_same(scored_by(inputs, None, tally, jobs=jobs, done=done), rest)
    assert tally.skipped == len(there)


@pytest.mark.parametrize("jobs", [0, pytest.param(2, marks=SLOW)])
def test_a_stop_finishes_what_is_under_way_and_begins_nothing_more(
    jobs: int, inputs: list[Path], parts_of: Parts
) -> None:
    asked: list[int] = []
    rows = []
    for part in parts_of(inputs * 20, jobs=jobs, stop=lambda: len(asked) > 0):
        rows += part
        asked.append(1)
    assert 0 < len(rows) < 20 * len(NAMES)
    paths = [own.row.path for own in rows if "#" not in own.row.path]
    wanted = [str(path) for path in inputs * 20 if path.name not in ("first.safetensors", "second.safetensors")]
    assert paths == wanted[: len(paths)]  # none is missing among them


@pytest.mark.parametrize("ordered", [True, pytest.param(False, marks=SLOW)])
def test_files_that_kill_their_readers_fail_alone(
    ordered: bool, helpers: ModuleType, inputs: list[Path], save: Save, scored_by: Score
) -> None:
    more = [save("deadly.safetensors"), save("deadly too.safetensors")]
    paths = [*inputs[1:4], more[0], *inputs[5:], inputs[0], more[1], inputs[4]]
    expected = {own.row.path: own for own in scored_by(paths)}
    rows = scored_by(paths, helpers.Deadly(), jobs=2, ordered=ordered)
    if ordered:
        assert [own.row.path for own in rows] == list(expected)
    assert sorted(own.row.path for own in rows) == sorted(expected)
    for own in rows:
        if "deadly" in own.row.path:
            assert own.row.error is not None and "the process that read it was killed" in own.row.error
            assert own.stamp is None  # so that it is tried again
        else:
            assert_same([own], [expected[own.row.path]])


@SLOW
def test_a_packed_file_that_kills_its_readers_fails_by_parts(
    helpers: ModuleType, inputs: list[Path], scored_by: Score
) -> None:
    deadly = inputs[0].with_name("deadly.safetensors")
    inputs[0].rename(deadly)
    rows = scored_by([inputs[1], deadly, *inputs[2:]], helpers.Deadly(), jobs=2)
    assert [Path(own.row.path).name for own in rows[1:12]] == [f"deadly.safetensors#{place}" for place in range(11)]
    assert all("was killed" in (own.row.error or "") for own in rows[1:12])
    assert_same([rows[0], *rows[12:]], scored_by([inputs[1], *inputs[2:]]))


def test_processes_that_somebody_kills_cost_no_row(
    inputs: list[Path], parts_of: Parts, scored_by: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = inputs * 6
    expected = scored_by(many)
    groups: list[WorkerGroup] = []
    start = WorkerGroup._started

    def started(self: WorkerGroup) -> object:
        if self not in groups:
            groups.append(self)
        return start(self)

    monkeypatch.setattr(WorkerGroup, "_started", started)
    rows: list[Scored] = []
    killed = 0
    for number, part in enumerate(parts_of(many, jobs=2)):
        rows += part
        if number == 3:
            for pool in groups[0]._pools():
                for process in list((pool._pool._processes or {}).values()):
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
    assert killed == 2
    assert_same(rows, expected)


def children() -> set[str]:
    while True:
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread has ended since they were listed
            tasks = Path("/proc/self/task").iterdir()
            return {child for task in tasks for child in (task / "children").read_text().split()}


def test_a_consumer_that_leaves_early_leaves_no_process(inputs: list[Path], parts_of: Parts) -> None:
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        pytest.skip("this system does not tell a process's children")
    before = children()
    rows = parts_of(inputs * 20, jobs=2)
    next(rows)
    assert len(children() - before) >= 2
    rows.close()  # type: ignore[attr-defined]
    # multiprocessing keeps one process of its own, which waits for nothing.
    assert len(children() - before) <= 1


def test_a_worker_group_tells_which_job_killed_and_does_the_others(helpers: ModuleType) -> None:
    group: WorkerGroup[str, str, tuple[str, int, str]] = WorkerGroup(helpers.double, "shared", 2)
    try:
        jobs = ["a", "b", "c", "die", "d", "fail", "e", "die", "f"]
        given = [group.submit(job) for job in jobs]
        for job, own in zip(jobs, given, strict=True):
            if job == "die":
                with pytest.raises(KilledError):
                    group.result(own)
            elif job == "fail":
                with pytest.raises(ValueError, match="fail"):
                    group.result(own)
            else:
                shared, process, twice = group.result(own)
                assert (shared, twice) == ("shared", job * 2) and process != os.getpid()
        assert group.alone("g")[2] == "gg"
        with pytest.raises(KilledError):
            group.alone("die")
        assert group.alone("h")[2] == "hh"
    finally:
        group.end()


def test_workers_keep_their_memory_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processes._MALLOC:
        monkeypatch.delenv(name, raising=False)
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda parameter, value: asked.append((parameter, value)))
    monkeypatch.setattr(processes.ctypes, "CDLL", lambda name: library)
    processes._keep_memory()
    assert asked == list(processes._MALLOC.values())
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    asked.clear()
    processes._keep_memory()
    assert asked == [value for name, value in processes._MALLOC.items() if name != "MALLOC_TRIM_THRESHOLD_"]
    del library.mallopt  # another allocator
    processes._keep_memory()


def test_a_script_that_does_not_guard_its_main_part_runs_once(helpers: ModuleType, tmp_path: Path) -> None:
    script = """
        from nfn_cli.processes import WorkerPool
        import nfn_test_helpers
        print("main", flush=True)
        pool = WorkerPool(nfn_test_helpers.double, "shared", 1)
        print(pool.submit("a").result()[2])
        pool.finish()
    """
    (tmp_path / "script.py").write_text(dedent(script))
    path = os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "main\naa\n"), done.stderr
