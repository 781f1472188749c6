"""Generate a zoo: train many runs in groups, save each at several epochs, and pick up where a stopped sitting ended."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.folders import claimed
from nfn_cli.threads import threads_for
from nfn_cli.zoo.hyperparameters import TRAIN_FRACTIONS, Hyperparameters, draw_hyperparameters
from nfn_cli.zoo.images import load_images
from nfn_cli.zoo.labels import ZooRow, write_labels
from nfn_cli.zoo.record import ZooSettings, part_name, read_state, write_record
from nfn_cli.zoo.small_cnn import ACTIVATIONS, SMALLEST_IMAGE, SmallCnn
from nfn_cli.zoo.trainer import Snapshot, TrainingImages, train_group
from nfn_cli.zoo.workers import Group, train_in_processes

# A group whose activations fit the cache trains fastest on a CPU; a GPU wants to be filled.
_GROUP_SIZE = {"cpu": 16, "cuda": 256, "mps": 64}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ZooReport:
    """What a sitting did.

    Attributes:
        trained, found: runs trained now, and runs found finished.
        diverged: runs whose weights or loss stopped being finite; their earlier checkpoints are kept.
        checkpoints: in the zoo now.
        samples: network-samples processed, epochs × images over all runs trained now.
    """

    trained: int
    found: int
    diverged: int
    checkpoints: int
    samples: int


def generate_zoo(
    folder: Path,
    settings: ZooSettings,
    *,
    device: str = "cpu",
    workers: int = 1,
    group_size: int | None = None,
    on_start: Callable[[int], None] = lambda samples: None,
    on_samples: Callable[[int], None] = lambda samples: None,
    on_runs: Callable[[int, int], None] = lambda done, wanted: None,
) -> ZooReport:
    """Train the runs of `settings` that `folder` does not hold yet.

    Writes checkpoints, `labels.csv` and `zoo.yaml`; `labels.csv` grows by whole groups, after their checkpoints, so a
    killed sitting loses at most the groups in training.

    The networks of a group share one stream of dropout masks. So the same settings give the same zoo, bit for bit, on
    one device with one group size; a count that grew gives other groups than one sitting would have had.

    Args:
        workers: processes with one thread each, on a CPU; a GPU is filled by one.
        group_size: networks trained side by side; by default what suits the device.
        on_start: told how many network-samples this sitting will process.
        on_samples: told how many were processed since the last call.
        on_runs: told how many of how many runs the folder holds, at first and after each group.

    Raises:
        DataError: unusable images, a folder that holds another zoo or cannot be written to, or another
            run writes to it.
    """
    if settings.activation not in ACTIVATIONS:
        raise DataError(settings.activation, "the recipe has no such activation", f"use {' or '.join(ACTIVATIONS)}")
    with claimed(folder):
        size = group_size or _GROUP_SIZE[device]
        return _generated(folder, settings, device, workers, size, on_start, on_samples, on_runs)


def _generated(
    folder: Path,
    settings: ZooSettings,
    device: str,
    workers: int,
    group_size: int,
    on_start: Callable[[int], None],
    on_samples: Callable[[int], None],
    on_runs: Callable[[int, int], None],
) -> ZooReport:
    state = read_state(folder, settings)
    wanted = [
        draw_hyperparameters(
            seed=settings.seed,
            run=run,
            activation=settings.activation,
            batch_size=settings.batch_size,
            schedule=settings.schedule,
        )
        for run in range(settings.count)
        if run not in state.finished
    ]
    images = load_images(settings.data, smallest=SMALLEST_IMAGE, limit=settings.image_limit)
    if int(len(images.train_labels) * min(TRAIN_FRACTIONS)) < 1:
        cause = f"only {len(images.train_labels)} training images, of which some runs take a tenth"
        raise DataError(settings.data, cause, "use at least 10")
    network = SmallCnn(images.train_images.shape[1], images.classes, settings.width)
    groups = _groups(wanted, group_size)
    samples = sum(_samples(group, len(images.train_labels), settings) for group in groups)
    on_start(samples)
    done = settings.count - len(wanted)
    on_runs(done, settings.count)

    rows, diverged, next_part = list(state.rows), set(state.diverged), _next_part(state.rows)
    write_record(folder, settings, diverged)
    if groups:
        with threads_for(images.train_images.numel()):
            cut = TrainingImages.cut(images, dtype=_DTYPES[settings.precision], device=torch.device(device))
        trained = (
            train_in_processes(network, groups, cut, settings.epochs, workers, on_samples)
            if device == "cpu"
            else _train_here(network, groups, cut, settings.epochs, on_samples)
        )
        with closing(trained):
            for part, (group, snapshots) in enumerate(trained, start=next_part):
                with threads_for(sum(snapshot.parameters.numel() for snapshot in snapshots)):
                    written, lost = _write_group(folder, network, group, snapshots, settings.packed, part)
                rows = sorted(rows + written, key=lambda row: (row.hyperparameters.run, row.epoch))
                diverged |= lost
                # In this order, a kill in between makes a run that diverged here train again; the other order would
                # lose its earlier checkpoints.
                write_labels(folder, rows)
                write_record(folder, settings, diverged)
                done += len(group)
                on_runs(done, settings.count)
    return ZooReport(len(wanted), settings.count - len(wanted), len(diverged), len(rows), samples)


def _groups(runs: Sequence[Hyperparameters], size: int) -> list[Group]:
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


def _train_here(
    network: SmallCnn,
    groups: Sequence[Group],
    images: TrainingImages,
    epochs: tuple[int, ...],
    on_samples: Callable[[int], None],
) -> Generator[tuple[Group, list[Snapshot]], None, None]:
    for group in groups:
        yield group, list(train_group(network, group, images, epochs, on_samples))


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
            # Weights that are finite, but too large to compute with, give a loss that is not.
            if not parameters.isfinite().all() or not math.isfinite(snapshot.test_loss[position]):
                diverged.add(run.run)
            if run.run in diverged:
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
        name = part_name(part)
        tensors = network.split(torch.stack([parameters for _, parameters in kept]))
        # A file of this name would be left over from a killed sitting, and belong to no row.
        save_tensors(folder / name, tensors, metadata | {POPULATION_KEY: str(len(kept))}, overwrite=True)
        return [replace(row, file=name, index=index) for index, (row, _) in enumerate(kept)], diverged
    for row, parameters in kept:
        tensors = {tensor: value[0] for tensor, value in network.split(parameters[None]).items()}
        save_tensors(folder / row.file, tensors, metadata, overwrite=True)
    return [row for row, _ in kept], diverged


def _next_part(rows: Sequence[ZooRow]) -> int:
    """The number after the last packed file that a row belongs to."""
    found = (re.fullmatch(r"part-(\d+)\.safetensors", row.file) for row in rows)
    return max((int(match.group(1)) for match in found if match), default=-1) + 1
