"""Edit a checkpoint: from its tensors to those of the edited network, in the file's own names and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, ReadNetwork, from_plain_range, to_plain_range
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError, CheckpointError
from nfn_cli.nn.head import Head


@dataclass(frozen=True)
class EditedTensors:
    """New tensors by their names in the checkpoint, in its dtypes, and ‖new − old‖ / ‖old‖ over all of them."""

    tensors: Mapping[str, Tensor]
    change: float


def edited_tensors(checkpoint: Checkpoint, network: ReadNetwork, head: Head, gamma: float = 1.0) -> EditedTensors:
    """Edit the network of a checkpoint.

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
        cause = "an edit changes every layer's weight and bias, and this file has no place for some"
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
    return EditedTensors(found, (change / size) ** 0.5 if size else 0.0)
