"""Checkpoints of implicit neural representations edited by a head, file by file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nfn_cli.architectures import Stated, read_network
from nfn_cli.checkpoints import population_of, rewrite_checkpoint
from nfn_cli.errors import CheckpointError, HeadError, UsageError
from nfn_cli.nn import Head, choose_head, load_head, shipped_heads_of
from nfn_cli.nn.inr.edit_file import edited_tensors
from nfn_cli.shipped import EDIT


@dataclass(frozen=True)
class Edited:
    """What was done to a file.

    Attributes:
        change: of the weights, ‖new − old‖ / ‖old‖.
        head: its name.
        assumed: what nothing tells of the network.
    """

    change: float
    head: str
    assumed: str | None = None


class EditHeads:
    """The head that was asked for, or the shipped ones for an edit; each is loaded once.

    Args:
        edit: such as `dilate`; None for what the named head does.
        name: a head's name or folder; None for the shipped ones.

    Raises:
        UsageError: the head makes another edit.
        HeadError: it cannot be read, or none is shipped for the edit.
    """

    def __init__(self, edit: str | None, name: str | None, device: str) -> None:
        self._device = device
        self._loaded: dict[str, Head] = {}
        if name is None:
            shipped = shipped_heads_of(EDIT)
            self.configs = {own: config for own, config in shipped.items() if edit in (None, config.details.edit)}
            return
        editor = load_head(name, device, task=EDIT)
        does = editor.config.details.edit
        if edit not in (None, does):
            raise UsageError(f"--edit {edit}", f"{name} does {does}", "leave out --edit or --head")
        self.configs, self._loaded = {name: editor.config}, {name: editor}

    def named(self, name: str) -> Head:
        """The head of that name."""
        if name not in self._loaded:
            self._loaded[name] = load_head(name, self._device, task=EDIT)
        return self._loaded[name]


def edit_checkpoint(
    path: Path, target: Path, heads: EditHeads, gamma: float, activation: str | None, *, overwrite: bool = False
) -> Edited:
    """Edit the network in a file and write it to another, in the layout, names and dtype of the old one.

    Args:
        gamma: how much of the edit.
        activation: of the network, over what the file says.

    Raises:
        CheckpointError: the file cannot be read, holds many networks, or the target exists.
        ArchitectureError: it holds no such network.
        HeadError: no head reads it.
    """
    if os.path.exists(target) and not overwrite:
        raise CheckpointError(target, "exists already", "pass --overwrite to replace it")
    if population_of(path) is not None:
        raise CheckpointError(path, "a packed file of many networks", "give files of one network each")
    # A sine is what these heads read; a file that says nothing of its activation is taken for one.
    checkpoint, network = read_network(path, Stated(activation=activation), default_activation="sin")
    network.plain()
    try:
        name, _ = choose_head(network.weights.architecture, heads.configs)
    except HeadError as error:
        raise HeadError(path, error.cause, "name a head for it with --head") from error
    new = edited_tensors(checkpoint, network, heads.named(name), gamma)
    rewrite_checkpoint(checkpoint, new.tensors, target, overwrite=overwrite)
    assumed = ["activation sin"] if network.activation.source == "assumed" else []
    assumed += [f"omega_0 {network.activation.omega_0:g}"] if network.assumes_frequency else []
    return Edited(new.change, name, " and ".join(assumed) or None)
