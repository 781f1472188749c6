"""A pretrained head: what it reads, its tensors, and what it says of networks, whatever its task.

>>> from nfn_cli.nn import load_head
>>> load_head("small-cnn-relu").config.kind.title
'Monomial-Probe (learned probes and invariant weight statistics)'
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.any_networks import AnyNetworks
from nfn_cli.nn.head_folder import CONFIG_FILE, load_model, read_record, task_of, write_folder
from nfn_cli.nn.kinds import kind_of, load_kind
from nfn_cli.nn.names import HEAD_KINDS, TASKS, HeadKind, kinds_of
from nfn_cli.nn.tasks import Task, load_task

MOST_MEMBERS = 64


@dataclass(frozen=True)
class HeadConfig:
    """All of a head that is not a tensor.

    Attributes:
        accepted: the architectures it reads.
        sizes: of each member; their class decides the kind of head, and so its task.
        details: what is special to the task, such as `AccuracyDetails`.
        members: networks in the ensemble; their logits are averaged.
        fitted: how it was fitted (data, split seed, epochs ...), for the record and to measure it again.
    """

    accepted: Accepted
    sizes: Any
    details: Any
    members: int = 1
    fitted: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> HeadKind:
        """The kind of head."""
        return HEAD_KINDS[kind_of(self.sizes)]

    @property
    def task(self) -> Task:
        """What the head is for."""
        return load_task(self.kind.task)

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        if not 1 <= self.members <= MOST_MEMBERS:
            raise ValueError(f"members is {shown(self.members)}, not from 1 to {MOST_MEMBERS}")
        if reason := self.details.mismatch(self.accepted):
            raise ValueError(reason)

    def new_model(self) -> Any:
        """A new module of this head, with random weights.

        Raises:
            HeadError: the kind of head cannot read such architectures.
        """
        return self.task.model(self)

    def new_members(self) -> Iterator[nn.Module]:
        """The modules that it consists of, one after the other."""
        make, example = load_kind(kind_of(self.sizes)).make, self.accepted.example_architecture()
        return (make(example, self.sizes, self.details) for _ in range(self.members))


@dataclass(frozen=True)
class Head:
    """A loaded head, ready to read networks in the dtype and on the device of its module.

    Attributes:
        name: of its folder.
        model: what `HeadConfig.new_model` makes, fitted.
    """

    name: str
    config: HeadConfig
    model: Any

    def predict(self, point: NetworkWeights | AnyNetworks, **options: Any) -> Any:
        """What it says of a batch of networks of one architecture: `Predictions` of a head that predicts accuracies,
        a `Classification` of one that classifies, the weights of the edited networks of one that edits.

        Args:
            point: tensors [batch, *shape] on the CPU; computation is on the head's device, in float32, or in float64
                where a head edits and the device can. For a head that reads networks of any architectures, what it
                reads of them.
            options: the task's own, such as `gamma`, how much of an edit.

        Raises:
            HeadError: the head does not read this architecture.
            TypeError: the task has no such option.
        """
        task: Any = self.config.task
        if unknown := sorted(set(options) - set(task.output_options)):
            has = f"options {', '.join(task.output_options)}" if task.output_options else "no options"
            raise TypeError(f"{self.name} takes {has}, not {', '.join(unknown)}")
        given = "weights" if isinstance(point, NetworkWeights) else point.what
        if given != self.config.accepted.reads:
            raise HeadError(self.name, f"it reads no {given}", "see `nfn heads` for what it reads")
        if isinstance(point, NetworkWeights):
            self.require_readable(point.architecture)
        return task.output(self, point, **options)

    def require_readable(self, architecture: Architecture) -> None:
        """Check that it reads networks of an architecture.

        Raises:
            HeadError: it does not; the message names the first thing that differs.
        """
        reason = self.config.accepted.mismatch(architecture)
        if reason:
            raise HeadError(architecture.describe(), reason, f"choose another head than {self.name}")

    def to(self, dtype: torch.dtype) -> Head:
        """The same head, computing in another dtype."""
        return Head(self.name, self.config, copy.deepcopy(self.model).to(dtype))

    def save(self, folder: Path, card: str) -> None:
        """Write the head's folder, tensors as float32; `config.yaml` comes last, so that a folder with one is
        complete.

        Raises:
            DataError, CheckpointError: the folder or a file cannot be written.
        """
        config = self.config
        record = {
            "task": config.kind.task,
            "kind": kind_of(config.sizes),
            "accepts": config.accepted.to_record(),
            "sizes": asdict(config.sizes),
            **config.details.to_record(config.kind),
            **({"members": config.members} if config.task.ensembles else {}),
            "fitted": config.fitted,
        }
        write_folder(folder, record, self.model, card)


def read_config(folder: Path, record: dict[str, Any] | None = None, *, task: str | None = None) -> HeadConfig:
    """A head's configuration from its folder.

    Args:
        record: what `read_record` gave, if it was read already.
        task: that the head must be for; None allows any.

    Raises:
        HeadError: there is no head, one for another task, or one of an unknown kind.
    """
    record, path = read_record(folder) if record is None else record, folder / CONFIG_FILE
    own = task_of(record)
    if task not in (None, own):
        raise HeadError(folder, f"a head for `nfn {own}`", f"give one for `nfn {task}`")
    if own not in TASKS:
        raise HeadError(folder, f"a head for `nfn {own}`, which this nfn has not", "update nfn-cli")
    if record["kind"] not in kinds_of(own):
        raise HeadError(path, f"unknown kind of head {shown(record['kind'])}", "update nfn-cli")
    served, kind = load_task(own), HEAD_KINDS[record["kind"]]
    try:
        return HeadConfig(
            accepted=Accepted.from_record(record["accepts"]),
            sizes=load_kind(record["kind"]).sizes(**record["sizes"]),
            details=served.details.from_record(record, kind),
            members=int(record["members"]) if served.ensembles else 1,
            fitted=dict(record["fitted"]),
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise HeadError(path, f"not a head's configuration ({error})", "fetch the head again") from error


def read_head(folder: Path, device: str = "cpu", *, task: str | None = None) -> Head:
    """Load a head from its folder onto a device.

    Args:
        task: that the head must be for; None allows any.

    Raises:
        HeadError: the folder holds no such head, or its tensors do not fit its configuration.
    """
    config = read_config(folder, task=task)
    model = load_model(folder, config.new_model, device)
    return Head(folder.resolve().name, config, config.task.loaded(model, folder, device))
