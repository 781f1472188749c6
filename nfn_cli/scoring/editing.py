"""Checkpoints of implicit neural representations edited by a head, file by file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, ReadNetwork, Stated, from_plain_range, read_network, to_plain_range
from nfn_cli.checkpoints import Checkpoint, population_of, rewrite_checkpoint
from nfn_cli.errors import ArchitectureError, CheckpointError, HeadError, UsageError
from nfn_cli.nn import Head, choose_head, load_head, shipped_heads_of
from nfn_cli.shipped import EDIT


@dataclass(frozen=True)
class Edited:
    """What was done to a file.

    Attributes:
        change: of the weights, ‖new − old‖ / ‖old‖.
        head: its name.
        assumed: what nothing states of the network.
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
        accepted = {own: config.accepted for own, config in heads.configs.items()}
        name, _ = choose_head(network.weights.architecture, accepted)
    except HeadError as error:
        raise HeadError(path, error.cause, "name a head for it with --head") from error
    tensors, change = edited_tensors(checkpoint, network, heads.named(name), gamma)
    rewrite_checkpoint(checkpoint, tensors, target, overwrite=overwrite)
    assumed = ["activation sin"] if network.activation.source == "assumed" else []
    assumed += [f"omega_0 {network.activation.omega_0:g}"] if network.assumes_frequency else []
    return Edited(change, name, " and ".join(assumed) or None)


def edited_tensors(
    checkpoint: Checkpoint, network: ReadNetwork, head: Head, gamma: float = 1.0
) -> tuple[dict[str, Tensor], float]:
    """Edit the network of a checkpoint: new tensors by their names in the file, in its dtypes, and ‖new − old‖ / ‖old‖
    over all of them.

    Args:
        network: as read from the checkpoint, with the activation under which the head reads it.
        gamma: how much of the edit.

    Raises:
        HeadError: the head does not read it.
        ArchitectureError: the file's tensors are not the network's: a bias is missing, or a layer is normalised.
        CheckpointError: a number leaves the range of the file's dtype.
    """
    stored = [spec.name for spec in network.stored().tensors]
    point = network.weights
    if network.norms or len(stored) != len(point.architecture.tensors):
        cause = "an edit changes every layer's weight and bias, and this file lacks some"
        raise ArchitectureError(checkpoint.path, cause, "save the network with a bias in every layer, without norms")
    shown = network.activation.value_range
    exactly = {name: tensor.double()[None] for name, tensor in point.tensors.items()}
    edited = head.predict(to_plain_range(NetworkWeights(point.architecture, exactly), shown), gamma=gamma)
    new = from_plain_range(edited, shown).tensors
    found = {}
    change = size = 0.0
    for name, spec in zip(stored, point.architecture.tensors, strict=True):
        old = checkpoint.tensors[name]
        exact = new[spec.name][0].view_as(old)
        if not exact.isfinite().all() or exact.abs().max() > torch.finfo(old.dtype).max:
            kind = str(old.dtype).removeprefix("torch.")
            cause = f"tensor {name!r} would leave the range of {kind}"
            raise CheckpointError(checkpoint.path, cause, "choose a smaller --gamma")
        found[name] = exact.to(old.dtype)
        change += (exact - old.double()).square().sum().item()
        size += old.double().square().sum().item()
    return found, (change / size) ** 0.5 if size else 0.0
