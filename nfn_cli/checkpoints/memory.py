"""A state dict in memory as a checkpoint, checked as a file's is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Checkpoint
from nfn_cli.checkpoints.find_state_dict import plain, strip_wrappers
from nfn_cli.checkpoints.ties import shared_memory
from nfn_cli.checkpoints.validate import require_plain, require_weights
from nfn_cli.errors import UsageError, shown

# What a module may keep beside its tensors, by whatever object it likes (`nn.Module.get_extra_state`).
_EXTRA = "_extra_state"


def checkpoint_of(state: Mapping[str, Any], name: str = "state dict") -> Checkpoint:
    """A state dict as a checkpoint that has no file, in the dict's own order; on the CPU, sharing memory where it can.

    >>> import torch
    >>> checkpoint_of({"module.0.weight": torch.ones(3, 2)}).tensors.keys()
    dict_keys(['0.weight'])

    Args:
        state: tensors by name.
        name: what errors call it.

    Raises:
        UsageError: it is no state dict, see `require_state_dict`.
        CheckpointError: its tensors are no weights of a network, or some are not finite.
    """
    require_state_dict(state, name)
    path = Path(name)
    named = {own: plain(tensor) for own, tensor in state.items() if isinstance(tensor, Tensor)}
    require_plain(path, named)
    tensors = {own: tensor.cpu() for own, tensor in strip_wrappers(named).items()}
    require_weights(path, tensors)
    raw, own = next(zip(named, tensors, strict=True))
    ties = shared_memory(strip_wrappers(named))
    return Checkpoint(path, "memory", tensors, {}, ordered=True, ties=ties, stripped=raw.removesuffix(own))


def require_state_dict(state: object, name: str = "state dict") -> None:
    """Check that a value is a dict of tensors by their names.

    Raises:
        UsageError: naming the first entry that is none; where a state dict lies within, how to give that.
    """
    if not isinstance(state, Mapping):
        raise UsageError(name, f"a {type(state).__name__} is no state dict", "give tensors by name, or a module")
    if not state:
        raise UsageError(name, "the dict is empty", "give tensors by name, such as model.state_dict()")
    for key, value in state.items():
        if isinstance(key, str) and (isinstance(value, Tensor) or key.rpartition(".")[2] == _EXTRA):
            continue
        within = [own for own, part in state.items() if isinstance(part, Mapping) and _holds_tensors(part)]
        if within:
            cause = "the dict holds a state dict rather than tensors"
            raise UsageError(name, cause, f"give that one: its entry {shown(within[0])}")
        cause = f"no state dict: {shown(key)} is of type {type(value).__name__}, not Tensor"
        raise UsageError(name, cause, "give tensors by name, or paths as a list")


def _holds_tensors(part: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in part.values())
