"""The Ray engine: the stages of the local one, spread over a cluster by Ray Data.

Files are read by tasks on CPUs; the heads are held by a pool of actors, on GPUs where the cluster has them. Rows come
back to the driver in the order of the inputs (or as they are finished), which writes them: so output, resuming and
digits are the local engine's. Ray repeats what a lost worker had under way.

Every node must have nfn-cli installed and see the files under the same paths, which for addresses of a store .
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints import fetched, is_address, population_of
from nfn_cli.errors import CheckpointError, DataError
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.chunks import ranges_of
from nfn_cli.scoring.predicting import Predictor
from nfn_cli.scoring.reading import MEMBERS_TOGETHER, ReadSettings, Source, member_name, read_chunk
from nfn_cli.scoring.work import EngineSettings, Scored, Tally

_CHUNK = 64
_LARGEST = 1 << 34


def run_ray(
    task: RowTask[Row], paths: Iterable[str], settings: EngineSettings, tally: Tally, *, device: str = "auto"
) -> Generator[list[Scored[Row]], None, None]:
    """Score files on the Ray cluster that `RAY_ADDRESS` names, or on one started here.

    Everything is as in `nfn_cli.scoring.local.run`; `jobs` bounds the actors that hold heads (by default one for each
    GPU of the cluster, or for every two CPUs).

    Args:
        device: auto takes the cluster's GPUs where it has any; that of `settings` is this machine's.

    Raises:
        DataError: Ray is not installed, or no cluster can be reached.
        HeadError: there is no such head; comes before the first row.
    """
    ray = _ray()
    accepted = Predictor(task, settings.head, "cpu", settings.dtype, settings.batch_size).accepted
    reading = settings.reading(accepted, _LARGEST, task.fitted_by)
    _connect(ray)
    gpus = int(ray.cluster_resources().get("GPU", 0)) if device in ("auto", "cuda") else 0
    cpus = int(ray.cluster_resources().get("CPU", 1))
    actors = settings.jobs or (gpus or max(1, cpus // 2))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = settings.ordered
    return _rows(ray, task, paths, settings, tally, reading, actors=actors, on_gpus=gpus > 0)


def _rows(
    ray: Any,
    task: RowTask[Row],
    paths: Iterable[str],
    settings: EngineSettings,
    tally: Tally,
    reading: ReadSettings,
    *,
    actors: int,
    on_gpus: bool,
) -> Generator[list[Scored[Row]], None, None]:
    chunks = [pickle.dumps(chunk) for chunk in _chunks(paths, settings, tally)]
    if not chunks:
        return
    done = frozenset(name for name in settings.done if "#" in name)
    shared = {"task": task, "head": settings.head, "dtype": settings.dtype, "batch_size": settings.batch_size}
    data = (
        ray.data.from_items([{"paths": chunk} for chunk in chunks], override_num_blocks=len(chunks))
        .map_batches(
            _read, fn_kwargs={"reading": reading, "done": done}, batch_size=1, batch_format="numpy", num_cpus=1
        )
        .map_batches(
            _Heads,
            fn_constructor_kwargs={"shared": shared, "device": "cuda" if on_gpus else "cpu"},
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
            num_gpus=1 if on_gpus else None,
            num_cpus=None if on_gpus else 1,
        )
    )
    for batch in data.iter_batches(batch_size=1, batch_format="numpy"):
        for packed in batch["rows"]:
            for scored, skipped in pickle.loads(packed):  # our own workers' pickles, never a file's
                tally.assumed += scored.assumed
                tally.skipped += skipped
                yield [Scored(row, stamp) for row, stamp in zip(scored.rows, scored.stamps, strict=True)]
        if settings.stop():
            return


def _chunks(paths: Iterable[str], settings: EngineSettings, tally: Tally) -> Iterator[list[str]]:
    chunk: list[str] = []
    for path in paths:
        if path in settings.done:
            tally.skipped += 1
            continue
        chunk.append(path)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _read(batch: dict[str, Any], reading: ReadSettings, done: frozenset[str]) -> dict[str, Any]:
    """Read chunks of files; the networks of packed ones in parts."""
    import torch

    torch.set_num_threads(1)
    chunks = []
    for packed in batch["paths"]:
        parts = []
        for sources, skipped in _sources(pickle.loads(packed), done):
            parts.append((read_chunk(sources, reading), skipped))
        chunks.append(pickle.dumps(parts))
    return {"chunk": chunks}


def _sources(paths: list[str], done: frozenset[str]) -> Iterator[tuple[list[Source], int]]:
    """Sources that are read together, in order, and how many networks were skipped."""
    plain: list[Source] = []
    for path in paths:
        count = _population(path)
        if count is None:
            plain.append(Source(path))
            continue
        if plain:
            yield plain, 0
            plain = []
        for start in range(0, count, MEMBERS_TOGETHER):
            wanted = [
                position
                for position in range(start, min(start + MEMBERS_TOGETHER, count))
                if member_name(path, position) not in done
            ]
            skipped = min(MEMBERS_TOGETHER, count - start) - len(wanted)
            yield [Source(path, ends) for ends in ranges_of(wanted)], skipped
    if plain:
        yield plain, 0


def _population(path: str) -> int | None:
    try:
        if is_address(path):
            with fetched(path) as local:
                return population_of(local)
        return population_of(Path(path))
    except CheckpointError:
        return None  # its reader tells why


class _Heads:
    """An actor that holds the heads."""

    def __init__(self, shared: dict[str, Any], device: str) -> None:
        self._predictor: Predictor[Any] = Predictor(
            shared["task"], shared["head"], device, shared["dtype"], shared["batch_size"]
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        found = []
        for packed in batch["chunk"]:
            parts = pickle.loads(packed)
            scored = self._predictor.rows_of([chunk for chunk, _ in parts])
            found.append(pickle.dumps([(own, skipped) for own, (_, skipped) in zip(scored, parts, strict=True)]))
        return {"rows": found}


def _ray() -> Any:
    # What Ray says of its own doings is for its log files.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DataError("--engine ray", "Ray is not installed", "pip install 'nfn-cli[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _connect(ray: Any) -> None:
    if ray.is_initialized():
        return
    try:
        ray.init(log_to_driver=False, configure_logging=True, logging_level="ERROR", include_dashboard=False)
    except Exception as error:
        # ConnectionError, ValueError, RuntimeError ...: whatever keeps a cluster from being reached.
        cause = f"no Ray cluster can be reached or started ({error})"
        raise DataError("--engine ray", cause, "check RAY_ADDRESS") from error
