"""Find a head by name or folder, or the shipped one that reads a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nfn_cli.architectures import Architecture
from nfn_cli.errors import HeadError
from nfn_cli.nn.accepted import Accepted, nearest
from nfn_cli.nn.head import Head, HeadConfig, read_config, read_head
from nfn_cli.nn.head_folder import read_record, task_of
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.nn.tasks import RowTask
from nfn_cli.shipped import models_folder, shipped_heads


def folder_of_head(name: str) -> Path:
    """The folder of a shipped head, or the folder itself.

    Raises:
        HeadError: neither a shipped head nor a folder.
    """
    if name in shipped_heads():
        return models_folder() / name
    if os.path.isdir(name):
        return Path(name)
    remedy = f"give a head's folder or one of: {', '.join(shipped_heads()) or '(no head is shipped)'}"
    raise HeadError(name, "no such head", remedy)


def task_of_head(name: str) -> str:
    """The command that a shipped head, or the one in a folder, serves, such as `predict-accuracy`.

    Raises:
        HeadError: it does not exist or cannot be read.
    """
    return task_of(read_record(folder_of_head(name)))


def load_head(name: str, device: str = "cpu", *, task: str | None = None) -> Head:
    """Load a shipped head by name, or any head by folder.

    Args:
        task: that the head must be for, such as `predict-accuracy`; None allows any.

    Raises:
        HeadError: it does not exist, cannot be read, or is for another task.
    """
    return read_head(folder_of_head(name), device, task=task)


def load_classifier(name: str, device: str = "cpu") -> Head:
    """A head that classifies INRs, as `load_head` loads it.

    Raises:
        HeadError: it does not exist, cannot be read, or is for another task.
    """
    return load_head(name, device, task="classify-inr")


def load_config(name: str, *, task: str | None = None) -> HeadConfig:
    """The configuration of a shipped head by name, or of any head by folder.

    Raises:
        HeadError: it does not exist, cannot be read, or is for another task.
    """
    return read_config(folder_of_head(name), task=task)


def shipped_heads_of(task: str) -> dict[str, HeadConfig]:
    """The configuration of every shipped head for a task, by name; the one to prefer comes first."""
    records = {name: read_record(models_folder() / name) for name in shipped_heads()}
    configs = {
        name: read_config(models_folder() / name, record) for name, record in records.items() if task_of(record) == task
    }
    order = list(HEAD_KINDS.values())
    return dict(sorted(configs.items(), key=lambda item: order.index(item[1].kind)))


def asked_heads(task: RowTask[Any]) -> Mapping[str, HeadConfig]:
    """The shipped heads that are asked where the user has named none, the one to prefer first."""
    return task.preferred(shipped_heads_of(task.name))


def choose_head(
    architecture: Architecture,
    accepted: Mapping[str, Accepted],
    *,
    assume_activation: bool = False,
    fitted_by: str = "nfn train",
) -> tuple[str, Architecture]:
    """The first head that reads an architecture, of those for certain layers.

    Args:
        accepted: what each of the heads to choose from reads, by its name; those for any classifier are left out, since
            they take no point in weight space.
        assume_activation: the network's activation is unknown; take that of the first head that reads its layers.
        fitted_by: the command that fits heads of this sort, for the error.

    Returns:
        The head's name, and the architecture with the activation under which it is read.

    Raises:
        HeadError: none reads it; the message names the nearest one, and the first thing that differs.
    """
    differences = {}
    for name, own in accepted.items():
        if own.is_any:
            continue
        candidate = architecture.with_activation(own.activation) if assume_activation else architecture
        differences[name] = own.differences(candidate)
        if not differences[name]:
            return name, candidate
    raise HeadError(
        architecture.describe_layers() if assume_activation else architecture.describe(),
        f"no head reads this network ({nearest(differences)})" if differences else "no head is shipped",
        f"fit one of your own with `{fitted_by}` and name it with --head",
    )
