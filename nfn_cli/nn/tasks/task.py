"""What one task does its own way: its part of a head's configuration, its tensors, its output, and its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from torch import nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import NfnError
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.names import TASKS, HeadKind
from nfn_cli.nn.tasks.rows import Row, error_line

if TYPE_CHECKING:
    from nfn_cli.nn.head import Head, HeadConfig


@dataclass(frozen=True)
class Details:
    """A task's part of a head's configuration; subclasses are frozen dataclasses.

    They come from a stranger's file too, so they check themselves and raise ValueError.
    """

    @classmethod
    def from_record(cls, record: dict[str, Any], kind: HeadKind) -> Details:
        """Its part of `config.yaml`; KeyError, TypeError or ValueError for anything else.

        Args:
            kind: of the head.
        """
        own = {field.name: record[field.name] for field in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in own.items()})

    def to_record(self, kind: HeadKind) -> dict[str, Any]:
        """Plain values for `config.yaml`, the inverse of `from_record`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def mismatch(self, accepted: Accepted) -> str | None:
        """Why they cannot be those of a head that reads these architectures; None if they can."""
        return None


class Task(ABC):
    """A task.

    Attributes:
        name: in `nfn_cli.nn.names.TASKS`, and of the command.
        details: the class of its part of a head's configuration.
        ensembles: whether its heads may have several members.
        output_options: what `output` takes besides the networks.
    """

    name: ClassVar[str]
    details: ClassVar[type[Details]]
    ensembles: ClassVar[bool] = True
    output_options: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def model(self, config: HeadConfig) -> nn.Module:
        """A new module of a head, with random weights.

        Raises:
            HeadError: the kind of head cannot read such architectures.
        """

    def loaded(self, model: Any, folder: Path, device: str) -> nn.Module:
        """The module of a head, once its tensors are read and on a device.

        Raises:
            HeadError: a tensor is not one that a fit gives.
        """
        return model

    @abstractmethod
    def output(self, head: Head, point: NetworkWeights, **options: Any) -> Any:
        """What a head says of a batch of networks [batch, *shape] that it reads, see `Head.predict`."""

    @property
    def fitted_by(self) -> str:
        """The command that fits heads for it."""
        return TASKS[self.name].fitted_by


class RowTask(Task, Generic[Row]):
    """A task whose output is one row a network.

    Attributes:
        row: the class of its rows.
    """

    row: type[Row]

    def options(self) -> Mapping[str, str]:
        """The task's own options that change its rows, by name."""
        return {}

    def preferred(self, configs: Mapping[str, HeadConfig]) -> Mapping[str, HeadConfig]:
        """Those of the shipped heads that are asked where the user has named none, the one to prefer first."""
        return configs

    @abstractmethod
    def rows(self, head: Head, names: Sequence[str], output: Any) -> list[Row]:
        """One row a network.

        Args:
            names: of the networks.
            output: what the head says of them.
        """

    def failed(self, name: str, error: NfnError) -> Row:
        """The row of a file that could not be scored."""
        return self.row(path=name, error=error_line(name, error))


def load_task(name: str) -> Task:
    """The task of that name in `TASKS`."""
    task: Task = import_module(TASKS[name].module).TASK
    return task
