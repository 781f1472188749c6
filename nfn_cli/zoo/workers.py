"""Train groups of CNNs in processes of one thread each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from nfn_cli.processes import in_processes
from nfn_cli.zoo.hyperparameters import Hyperparameters
from nfn_cli.zoo.small_cnn import SmallCnn
from nfn_cli.zoo.trainer import Snapshot, TrainingImages, train_group

Group = list[Hyperparameters]


@dataclass(frozen=True)
class _Shared:
    network: SmallCnn
    images: TrainingImages
    epochs: tuple[int, ...]


def train_in_processes(
    network: SmallCnn,
    groups: Sequence[Group],
    images: TrainingImages,
    epochs: tuple[int, ...],
    workers: int,
    on_samples: Callable[[int], None],
) -> Generator[tuple[Group, list[Snapshot]], None, None]:
    """Train groups in `workers` processes and yield each when it is finished, in whatever order that is.

    Closing the iterator ends the processes, whatever they are at, and so does the end of this process.

    Raises:
        DataError: a process was killed, most likely for want of memory.
    """
    for tensor in (images.train_patches, images.train_labels, images.test_patches, images.test_labels):
        tensor.share_memory_()
    yield from in_processes(_train, _Shared(network, images, epochs), groups, workers, on_samples)


def _train(shared: _Shared, group: Group, on_samples: Callable[[int], None]) -> list[Snapshot]:
    return list(train_group(shared.network, group, shared.images, shared.epochs, on_samples))
