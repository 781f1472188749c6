"""What distinguishes one kind of zoo from another: a recipe. `generate_zoo` does the rest, for all alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor

from nfn_cli.zoo.images import ImageSet
from nfn_cli.zoo.network_files import write_networks
from nfn_cli.zoo.settings import ZooSettingsBase

Run = TypeVar("Run", bound=Hashable)
Item = TypeVar("Item")
Row = TypeVar("Row")
Result = TypeVar("Result")


class SharedData(Protocol):
    """What all jobs read, handed to each process once."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Those that processes should share instead of copying."""


@dataclass(frozen=True)
class Job(Generic[Item]):
    """What is made and written in one go.

    Attributes:
        part: number of its packed file.
        items: what the work takes, one a run.
    """

    part: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Made(Generic[Run, Row]):
    """What came of a job.

    Attributes:
        rows: of its sound networks, each as in a file of its own.
        tensors: of these, [len(rows), *shape].
        diverged: runs whose numbers stopped being finite.
    """

    rows: list[Row]
    tensors: dict[str, Tensor]
    diverged: set[Run]


class Recipe(ABC, Generic[Run, Item, Row, Result]):
    """A kind of zoo.

    Attributes:
        together: networks made side by side on a device, by default.
        shares_gpu: whether its work leaves so much of a GPU idle that several processes fill it.
        work: does a job with (shared data, job, what is called with the number of steps done). A module's function:
            processes look it up by its name.
        read_rows: the rows of `labels.csv`, maybe none; DataError where it is damaged.
        write_rows: writes `labels.csv` in a folder, replacing it in one step.
        run_of: the run that a row belongs to.
        order: what rows are sorted by.
        diverged_run: a run from what `zoo.yaml` holds of it; ValueError, TypeError or OverflowError where it is none.
    """

    settings: ZooSettingsBase
    together: ClassVar[Mapping[str, int]]
    shares_gpu: ClassVar[bool] = False
    work: Callable[[Any, Job[Item], Callable[[int], None]], Result]
    read_rows: Callable[[Path], list[Row]]
    write_rows: Callable[[Path, Sequence[Row]], None]
    run_of: Callable[[Row], Run]
    order: Callable[[Row], tuple[Any, ...]]
    diverged_run: Callable[[Any], Run]

    @abstractmethod
    def load_images(self) -> ImageSet:
        """The image set.

        Raises:
            DataError: it is unusable.
        """

    @abstractmethod
    def runs(self, images: ImageSet) -> list[Run]:
        """All runs of the zoo, in order.

        Raises:
            DataError: there are too few images.
        """

    @abstractmethod
    def batches(self, runs: Sequence[Run], group_size: int) -> list[tuple[Item, ...]]:
        """The runs as jobs, in the order in which they should be done."""

    @abstractmethod
    def steps(self, items: Sequence[Item], images: ImageSet) -> int:
        """The steps that a job will report, in all."""

    @abstractmethod
    def share(self, images: ImageSet, device: str, group_size: int) -> SharedData:
        """What all jobs read."""

    @abstractmethod
    def made(self, items: Sequence[Item], result: Result, images: ImageSet) -> Made[Run, Row]:
        """Rows and tensors from what `work` gave for a job."""

    @property
    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Of every file."""

    def write(self, folder: Path, made: Made[Run, Row], result: Result, part: int | None) -> list[Row]:
        """Write what came of a job, and return its rows with the places where its networks are.

        Args:
            result: what `work` gave, for recipes whose networks are of many shapes.
            part: number of the packed file; None writes one file a network.

        Raises:
            CheckpointError: a file cannot be written.
        """
        return write_networks(folder, made.rows, made.tensors, self.metadata, part)

    def whole(self, folder: Path, rows: list[Row], diverged: frozenset[Run]) -> list[Row]:
        """The rows of runs that are finished.

        Raises:
            DataError: the folder holds more than the settings ask for, and this recipe cannot leave it there.
        """
        return rows

    def psnr(self, rows: Sequence[Row]) -> float | None:
        """Mean over the zoo in dB, for recipes that make pictures; NaN where no row has it."""
        return None
