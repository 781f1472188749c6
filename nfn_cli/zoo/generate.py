"""Generate a zoo: train many runs in groups, save each at several epochs, and pick up where a stopped sitting ended."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors, write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.zoo.hyperparameters import Hyperparameters, draw_hyperparameters
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.labels import LABELS_FILE, ZooRow, read_rows, write_labels
from nfn_cli.zoo.small_cnn import ACTIVATIONS, SMALLEST_IMAGE, SmallCnn
from nfn_cli.zoo.trainer import Snapshot, TrainingImages, train_group

SETTINGS_FILE = "zoo.yaml"

# A group whose activations fit the cache trains fastest on a CPU; a GPU wants to be filled.
_GROUP_SIZE = {"cpu": 16, "cuda": 256, "mps": 64}

# Every step frees and takes the same large blocks. Without these, glibc hands them back to the kernel each time and
# pays for the page faults: a third of the time of a step.
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "200000000",
}


@dataclass(frozen=True)
class ZooSettings:
    """What a zoo is made of. Two sittings with the same settings add up; `count` alone may grow between them."""

    data: str
    activation: str
    count: int
    seed: int = 0
    epochs: tuple[int, ...] = (1, 2, 4, 8)
    batch_size: int = 64
    image_limit: int | None = None
    packed: bool = False
    precision: str = "bfloat16"


@dataclass(frozen=True)
class ZooReport:
    """What a sitting did.

    Attributes:
        trained, found: runs trained now, and runs found finished.
        diverged: runs whose weights stopped being finite; their earlier checkpoints are kept.
        checkpoints: in the zoo now.
        samples: network-samples processed, epochs × images over all runs trained now.
    """

    trained: int
    found: int
    diverged: int
    checkpoints: int
    samples: int


@dataclass(frozen=True)
class _State:
    """What the folder holds so far."""

    rows: list[ZooRow] = field(default_factory=list)
    finished: frozenset[int] = frozenset()
    diverged: frozenset[int] = frozenset()


def fastest_precision(device: str) -> str:
    """`bfloat16` where the processor computes in it, else `float32`."""
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def generate_zoo(
    folder: Path,
    settings: ZooSettings,
    *,
    device: str = "cpu",
    workers: int = 1,
    group_size: int | None = None,
    on_start: Callable[[int], None] = lambda samples: None,
    on_samples: Callable[[int], None] = lambda samples: None,
) -> ZooReport:
    """Train the runs of `settings` that `folder` does not hold yet.

    Writes checkpoints, `labels.csv` and `zoo.yaml`; `labels.csv` grows by whole groups, after their checkpoints, so a
    killed sitting loses at most the groups in training.

    Args:
        workers: processes with one thread each, on a CPU; a GPU is filled by one.
        group_size: networks trained side by side; by default what suits the device.
        on_start: told how many network-samples this sitting will process.
        on_samples: told how many were processed since the last call.

    Raises:
        DataError: unusable images, or a folder that holds another zoo.
    """
    if settings.activation not in ACTIVATIONS:
        raise DataError(settings.activation, "the recipe has no such activation", f"use {' or '.join(ACTIVATIONS)}")
    images = load_images(settings.data, smallest=SMALLEST_IMAGE, limit=settings.image_limit)
    network = SmallCnn(images.train_images.shape[1], images.classes)
    state = _read_state(folder, settings)
    wanted = [
        draw_hyperparameters(
            seed=settings.seed, run=run, activation=settings.activation, batch_size=settings.batch_size
        )
        for run in range(settings.count)
        if run not in state.finished
    ]
    groups = _groups(wanted, group_size or _GROUP_SIZE[device])
    samples = sum(_samples(group, len(images.train_labels), settings) for group in groups)
    on_start(samples)

    rows, diverged, next_part = list(state.rows), set(state.diverged), _next_part(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_settings(folder, settings, diverged)
    for done, (group, snapshots) in enumerate(_train(groups, images, network, settings, device, workers, on_samples)):
        written, lost = _write_group(folder, network, group, snapshots, settings.packed, next_part + done)
        rows = sorted(rows + written, key=lambda row: (row.hyperparameters.run, row.epoch))
        diverged |= lost
        _write_settings(folder, settings, diverged)
        write_labels(folder, rows)
    found = settings.count - len(wanted)
    return ZooReport(len(wanted), found, len(diverged), len(rows), samples)


def _groups(runs: Sequence[Hyperparameters], size: int) -> list[list[Hyperparameters]]:
    """Groups of runs of equal length, in the order of their first run: a zoo stopped early is still a fair sample."""
    groups = []
    alike = sorted(runs, key=lambda run: (run.train_fraction, run.run))
    for _, same in groupby(alike, key=lambda run: run.train_fraction):
        cohort = list(same)
        groups += [cohort[start : start + size] for start in range(0, len(cohort), size)]
    return sorted(groups, key=lambda group: group[0].run)


def _samples(group: Sequence[Hyperparameters], images: int, settings: ZooSettings) -> int:
    size = int(images * group[0].train_fraction)
    batch = min(settings.batch_size, size)
    return max(settings.epochs) * (size // batch) * batch * len(group)


_Result = tuple[list[Hyperparameters], list[Snapshot]]


def _train(
    groups: Sequence[list[Hyperparameters]],
    images: ImageSet,
    network: SmallCnn,
    settings: ZooSettings,
    device: str,
    workers: int,
    on_samples: Callable[[int], None],
) -> Iterator[_Result]:
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.precision]
    cut = TrainingImages.cut(images, dtype=dtype, device=torch.device(device))
    if device != "cpu":
        for group in groups:
            yield group, list(train_group(network, group, cut, settings.epochs, on_samples))
        return
    for tensor in (cut.train_patches, cut.train_labels, cut.test_patches, cut.test_labels):
        tensor.share_memory_()
    context = multiprocessing.get_context("spawn")
    progress = context.Value("q", 0)
    os.environ.update({name: os.environ.get(name, value) for name, value in _MALLOC.items()})
    with ProcessPoolExecutor(
        min(workers, len(groups)) or 1,
        mp_context=context,
        initializer=_start_worker,
        initargs=(network, cut, settings.epochs, progress),
    ) as pool:
        pending = {pool.submit(_train_in_worker, group): group for group in groups}
        told = 0
        try:
            while pending:
                done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                now = progress.value
                on_samples(now - told)
                told = now
                for future in done:
                    yield pending.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in context_children(pool):
                process.terminate()
            raise


def context_children(pool: ProcessPoolExecutor) -> list[Any]:
    """The pool's processes: an interrupt must not wait minutes for a group nobody will read."""
    return list((pool._processes or {}).values())


_worker: dict[str, Any] = {}


def _start_worker(network: SmallCnn, images: TrainingImages, epochs: tuple[int, ...], progress: Any) -> None:
    torch.set_num_threads(1)
    _worker.update(network=network, images=images, epochs=epochs, progress=progress)


def _train_in_worker(group: list[Hyperparameters]) -> list[Snapshot]:
    def count(samples: int) -> None:
        with _worker["progress"].get_lock():
            _worker["progress"].value += samples

    return list(train_group(_worker["network"], group, _worker["images"], _worker["epochs"], count))


def _write_group(
    folder: Path,
    network: SmallCnn,
    group: Sequence[Hyperparameters],
    snapshots: Sequence[Snapshot],
    packed: bool,
    part: int,
) -> tuple[list[ZooRow], set[int]]:
    """Write a group's checkpoints and return their rows, and the runs that diverged."""
    kept: list[tuple[ZooRow, Tensor]] = []
    diverged: set[int] = set()
    for snapshot in snapshots:
        for position, run in enumerate(group):
            parameters = snapshot.parameters[position]
            if not parameters.isfinite().all():
                diverged.add(run.run)
                continue
            row = ZooRow(
                file=f"run-{run.run:06d}-epoch-{snapshot.epoch:03d}.safetensors",
                index=None,
                epoch=snapshot.epoch,
                test_accuracy=snapshot.test_accuracy[position],
                train_accuracy=snapshot.train_accuracy[position],
                test_loss=snapshot.test_loss[position],
                hyperparameters=run,
            )
            kept.append((row, parameters))
    metadata = {"activation": group[0].activation, "arch": "small-cnn"}
    if packed and kept:
        name = f"part-{part:05d}.safetensors"
        tensors = network.split(torch.stack([parameters for _, parameters in kept]))
        # A file of this name would be left over from a killed sitting, and belong to no row.
        save_tensors(folder / name, tensors, metadata | {POPULATION_KEY: str(len(kept))}, overwrite=True)
        return [replace(row, file=name, index=index) for index, (row, _) in enumerate(kept)], diverged
    for row, parameters in kept:
        tensors = {tensor: value[0] for tensor, value in network.split(parameters[None]).items()}
        save_tensors(folder / row.file, tensors, metadata, overwrite=True)
    return [row for row, _ in kept], diverged


def _next_part(folder: Path) -> int:
    parts = [int(path.stem.removeprefix("part-")) for path in folder.glob("part-*.safetensors")]
    return max(parts, default=-1) + 1


def _write_settings(folder: Path, settings: ZooSettings, diverged: set[int] | frozenset[int]) -> None:
    record = {
        "recipe": "small-cnn",
        **_comparable(settings),
        "count": settings.count,
        "diverged": sorted(diverged),
    }
    write_text_atomically(folder / SETTINGS_FILE, yaml.safe_dump(record, sort_keys=False), overwrite=True)


def _comparable(settings: ZooSettings) -> dict[str, Any]:
    """The settings that two sittings of one zoo must share."""
    return {
        "data": Path(settings.data).name,
        "activation": settings.activation,
        "seed": settings.seed,
        "epochs": list(settings.epochs),
        "batch_size": settings.batch_size,
        "image_limit": settings.image_limit,
        "packed": settings.packed,
        "precision": settings.precision,
    }


def _read_state(folder: Path, settings: ZooSettings) -> _State:
    if not (folder / SETTINGS_FILE).exists():
        if (folder / LABELS_FILE).exists():
            raise DataError(folder, f"holds a {LABELS_FILE} but no {SETTINGS_FILE}", "choose an empty folder")
        return _State()
    try:
        record = yaml.safe_load((folder / SETTINGS_FILE).read_text())
        diverged = frozenset(record["diverged"])
        changed = [name for name, value in _comparable(settings).items() if record[name] != value]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        remedy = "choose an empty folder"
        raise DataError(folder / SETTINGS_FILE, f"not a readable zoo record ({error})", remedy) from error
    if changed:
        raise DataError(folder, f"holds a zoo of another {', '.join(changed)}", "choose another folder")
    if not (folder / LABELS_FILE).exists():
        return _State(diverged=diverged, finished=diverged)
    rows = [_parse_row(row) for row in read_rows(folder / LABELS_FILE)]
    finished = frozenset(row.hyperparameters.run for row in rows) | diverged
    return _State(rows, finished, diverged)


def _parse_row(row: dict[str, str]) -> ZooRow:
    run = Hyperparameters(
        run=int(row["run"]),
        seed=int(row["seed"]),
        activation=row["activation"],
        learning_rate=float(row["learning_rate"]),
        l2=float(row["l2"]),
        dropout=float(row["dropout"]),
        optimizer=row["optimizer"],
        initialiser=row["initialiser"],
        initialiser_scale=float(row["initialiser_scale"]),
        train_fraction=float(row["train_fraction"]),
        batch_size=int(row["batch_size"]),
    )
    return ZooRow(
        file=row["file"],
        index=int(row["index"]) if row["index"] else None,
        epoch=int(row["epoch"]),
        test_accuracy=float(row["test_accuracy"]),
        train_accuracy=float(row["train_accuracy"]),
        test_loss=float(row["test_loss"]),
        hyperparameters=run,
    )
