"""Processes are started where the work pays for them; those that only read get no head."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.nn import Head, load_head
from nfn_cli.scoring import AccuracyTask, Scored, Tally, amount, chunks, engine_settings, local, pooled, run
from nfn_cli.scoring.amount import Ahead, jobs_for

Save = Callable[..., Path]


class Inline:
    """A worker group whose processes are this one; what they would be sent is pickled all the same."""

    made: list[Inline]

    def __init__(self, work: Callable[..., Any], shared: Any, workers: int) -> None:
        self.work, self.shared, self.workers = work, pickle.loads(pickle.dumps(shared)), workers
        self.jobs: list[Any] = []
        self.ended = ""
        self.made.append(self)

    def submit(self, job: Any) -> Any:
        """Do it."""
        self.jobs.append(job)
        given = type("Given", (), {"job": job, "future": Future()})()
        given.future.set_result(self.work(self.shared, job, lambda steps: None))
        return given

    def result(self, given: Any) -> Any:
        """What it gave."""
        return given.future.result()

    def finish(self) -> None:
        """Note it."""
        self.ended += "finished"

    def end(self) -> None:
        """Note it."""
        self.ended += "ended"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Inline]]:
    """The worker groups that are made."""
    Inline.made = []
    monkeypatch.setattr(pooled, "WorkerGroup", Inline)
    monkeypatch.setattr(pooled, "_predictor", [])
    monkeypatch.setattr(chunks, "_MOST_FILES", 4)
    monkeypatch.setattr(local, "most_jobs", lambda: 2)
    yield Inline.made


@pytest.fixture
def scored(models: Path) -> Callable[..., list[Scored]]:
    def call(paths: list[Path], head: Any = None, **changes: Any) -> list[Scored]:
        settings = engine_settings(head or models / "a-relu", "cpu", None, None, True, None, "float32")
        parts = run(AccuracyTask(), map(str, paths), settings.changed(**changes), Tally())
        return [row for part in parts for row in part]

    return call


@pytest.fixture
def files(save: Save) -> list[Path]:
    return [save(f"{number}.safetensors", seed=number) for number in range(12)]


def packed(path: Path) -> Path:
    generator = torch.Generator().manual_seed(7)
    shapes = {"0.weight": (6, 3), "0.bias": (6,), "2.weight": (2, 6), "2.bias": (2,)}
    tensors = {name: torch.randn(40, *shape, generator=generator) for name, shape in shapes.items()}
    save_file(tensors, path, {POPULATION_KEY: "40", "activation": "relu"})
    return path


@pytest.mark.parametrize(
    ("seconds", "endless", "most", "on_gpu", "expected"),
    [
        (3, False, 2, False, 0),
        (7.9, False, 2, False, 0),
        (8, False, 2, False, 2),
        (13, False, 16, False, 3),
        (1e4, False, 16, False, 16),
        (8, True, 16, False, 16),
        (3, True, 16, False, 0),
        (1e4, True, 1, False, 0),  # one would only be waited for
        (4, False, 1, True, 1),  # one reads while the GPU computes
        (3, False, 8, True, 0),
    ],
)
def test_each_process_has_twice_its_start_to_do(
    seconds: float, endless: bool, most: int, on_gpu: bool, expected: int
) -> None:
    assert jobs_for(seconds, endless=endless, most=most, on_gpu=on_gpu) == expected


def test_files_are_looked_at_so_far_ahead(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amount, "_SEEN", 4)
    monkeypatch.setattr(amount, "processors", lambda: 2)
    paths = list(map(str, files))
    ahead = Ahead(iter(paths), {paths[1]})
    rest = iter(ahead)
    assert next(rest) == paths[0]
    assert (ahead.bytes, ahead.endless) == (7 * 4096, True)  # eight files, one of which is done
    assert [next(rest) for _ in range(4)] == paths[1:5]
    assert (ahead.bytes, ahead.endless) == (11 * 4096, True)
    assert list(rest) == paths[5:]
    assert (ahead.bytes, ahead.endless) == (11 * 4096, False)


def test_little_work_starts_no_process(
    files: list[Path], scored: Callable[..., list[Scored]], groups: list[Inline], tmp_path: Path
) -> None:
    rows = scored([*files, packed(tmp_path / "many.safetensors")])
    assert len(rows) == 52 and all(own.row.error is None for own in rows)
    assert groups == []


@pytest.mark.parametrize("kind", ["files", "packed"])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_much_work_starts_them_after_the_first_part_and_has_the_same_rows(
    kind: str,
    on_gpu: bool,
    files: list[Path],
    scored: Callable[..., list[Scored]],
    groups: list[Inline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "MEMBERS_TOGETHER", 8)
    paths = files if kind == "files" else [packed(tmp_path / "many.safetensors"), *files[:2]]
    expected = scored(paths, jobs=0)
    for module in (local, pooled):
        monkeypatch.setattr(module, "scores_in_processes", lambda device: not on_gpu)
    monkeypatch.setattr(amount, "_START", 1e-9)
    rows = scored(paths)
    # What goes through a head together is the same but for a GPU, where parts are joined.
    assert [own.row.path for own in rows] == [own.row.path for own in expected]
    for own, other in zip(rows, expected, strict=True):
        assert own.stamp == other.stamp
        assert own.row.accuracy == pytest.approx(other.row.accuracy, abs=1e-6)
    (group,) = groups
    assert group.workers == 2 and group.ended == "finished"
    assert len(group.jobs) == (2 if kind == "files" else 5)


def test_the_user_decides_with_jobs(
    files: list[Path], scored: Callable[..., list[Scored]], groups: list[Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(files, jobs=3)
    assert [(group.workers, len(group.jobs)) for group in groups] == [(3, 3)]
    monkeypatch.setattr(amount, "_START", 1e-9)
    scored(files, jobs=0)
    assert len(groups) == 1


def test_large_networks_keep_their_threads_and_start_no_process(
    files: list[Path], scored: Callable[..., list[Scored]], groups: list[Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amount, "_START", 1e-9)
    monkeypatch.setattr(local, "LARGE", 50)
    assert len(scored(files)) == 12
    assert groups == []


class OnGpu(Head):
    """A head whose tensors only this process may use."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise AssertionError("a head on a GPU was pickled")


def test_processes_that_only_read_get_no_head(
    files: list[Path],
    models: Path,
    scored: Callable[..., list[Scored]],
    groups: list[Inline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pooled, "scores_in_processes", lambda device: False)
    loaded = load_head(models / "a-relu")
    rows = scored(files, OnGpu(loaded.name, loaded.config, loaded.model), jobs=2)
    assert [own.row.accuracy is not None for own in rows] == [True] * 12
    (group,) = groups
    assert not any(isinstance(own, torch.Tensor | torch.nn.Module) for own in vars(group.shared).values())
