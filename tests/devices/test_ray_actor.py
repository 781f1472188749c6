"""The Ray engine's actors, on GPUs where a cluster has them, give the rows of the local engine.

Ray itself is stood in for by a class that calls the stages one after the other, so that what they compute, and what is
asked of a cluster, is known without it. `test_rays_own_actor` runs Ray where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from on_devices import CLOSE, GPU, TESTS

from nfn_cli.scoring import ClassificationTask, ScoreRow, Tally, engine_settings, ray_engine, run, score
from nfn_cli.scoring.ray_engine import run_ray
from nfn_cli.scoring.score_and_classify import AccuracyTask

PATHS = [str(path) for path in sorted((TESTS / "samples").glob("relu-*"))]
INRS = [str(path) for path in sorted((TESTS / "inrs").glob("mnist-*"))]


class Dataset:
    """Ray Data's, for one process: rows are dicts, and a stage gets lists of them."""

    def __init__(self, rows: Sequence[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
        self.rows, self.asked = rows, asked

    def map_batches(self, stage: Any, **options: Any) -> Dataset:
        self.asked.append(options)
        made = stage(**options["fn_constructor_kwargs"]) if isinstance(stage, type) else stage
        batches = [{name: [value] for name, value in row.items()} for row in self.rows]
        found = [made(batch, **options.get("fn_kwargs", {})) for batch in batches]
        return Dataset([{name: one for name, (one,) in batch.items()} for batch in found], self.asked)

    def iter_batches(self, **_: Any) -> Iterator[dict[str, Any]]:
        return ({name: [value] for name, value in row.items()} for row in self.rows)


class Cluster:
    """As much of `ray` as the engine uses."""

    def __init__(self, gpus: int) -> None:
        self.asked: list[dict[str, Any]] = []
        self._resources = {"CPU": 2.0} | ({"GPU": float(gpus)} if gpus else {})
        context = SimpleNamespace(execution_options=SimpleNamespace())
        self.data = SimpleNamespace(
            DataContext=SimpleNamespace(get_current=lambda: context),
            ActorPoolStrategy=lambda **sizes: sizes,
            from_items=lambda rows, **_: Dataset(rows, self.asked),
        )

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return self._resources


@pytest.fixture
def cluster(device: str, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster with a GPU where this machine has one."""
    if device == "mps":
        pytest.skip("Ray knows no MPS")
    found = Cluster(gpus=int(device == "cuda"))
    monkeypatch.setattr(ray_engine, "_ray", lambda: found)
    return found


def rows_of(parts: Any) -> list[Any]:
    return [scored.row for rows in parts for scored in rows]


@pytest.mark.parametrize("head", [None, "any-classifier"])
def test_actors_predict_as_the_local_engine_does(head: str | None, cluster: Cluster, device: str) -> None:
    settings = engine_settings(head, "cpu", None, 0, True, None, "float32")
    found: list[ScoreRow] = rows_of(run_ray(AccuracyTask(), PATHS, settings, Tally(), device="auto"))
    expected = list(score(PATHS, head=head, device="cpu", jobs=0))
    assert [row.path for row in found] == [row.path for row in expected] and not any(row.error for row in found)
    for name in ("accuracy", "low", "high"):
        close = pytest.approx([getattr(row, name) for row in expected], abs=CLOSE)
        assert [getattr(row, name) for row in found] == close


def test_actors_classify_as_the_local_engine_does(cluster: Cluster, device: str) -> None:
    settings = engine_settings(None, "cpu", None, 0, True, None, "float32")
    found = rows_of(run_ray(ClassificationTask(3), INRS, settings, Tally(), device="auto"))
    expected = rows_of(run(ClassificationTask(3), INRS, settings, Tally()))
    assert [(row.path, row.label) for row in found] == [(row.path, row.label) for row in expected]
    assert [row.probability for row in found] == pytest.approx([row.probability for row in expected], abs=CLOSE)


@pytest.mark.parametrize(("asked", "gpus", "on_gpu"), [("auto", 2, True), ("cuda", 1, True), ("cpu", 1, False)])
def test_an_actor_asks_for_a_gpu_where_the_cluster_has_one(
    asked: str, gpus: int, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, made = Cluster(gpus), []
    monkeypatch.setattr(ray_engine, "_ray", lambda: cluster)

    class Heads:
        def __init__(self, shared: dict[str, Any], device: str) -> None:
            made.append(device)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return {"rows": [ray_engine.pickle.dumps([])]}

    monkeypatch.setattr(ray_engine, "_Heads", Heads)
    settings = engine_settings(None, "cpu", None, None, True, None, "float32")
    assert rows_of(run_ray(AccuracyTask(), PATHS, settings, Tally(), device=asked)) == []
    reading, heads = cluster.asked
    assert reading["num_cpus"] == 1 and "num_gpus" not in reading
    assert (heads["num_gpus"], heads["num_cpus"]) == ((1, None) if on_gpu else (None, 1))
    assert made == ["cuda" if on_gpu else "cpu"]
    assert heads["compute"]["max_size"] == (gpus if on_gpu else 1)


@pytest.mark.gpu
@pytest.mark.skipif(GPU != "cuda", reason="needs CUDA")
def test_rays_own_actor() -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        settings = engine_settings(None, "cpu", None, 1, True, None, "float32")
        found: list[ScoreRow] = rows_of(run_ray(AccuracyTask(), PATHS, settings, Tally(), device="cuda"))
    finally:
        ray.shutdown()
    expected = [row.accuracy for row in score(PATHS, device="cpu", jobs=0)]
    assert [row.accuracy for row in found] == pytest.approx(expected, abs=CLOSE)
