"""Find the state dict inside what a training script saved, and the facts beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.errors import CheckpointError

# Where training scripts put the model's state dict, the most telling name first.
STATE_DICT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "parameters",
    "ema",
    "model_ema",
    "ema_state_dict",
)
# Tensors that are not the model's weights.
_NOT_MODEL = ("optim", "sched", "scaler", "history", "rng", "loss", "metric", "callbacks")
FACTS = ("activation", "arch", "omega_0", "pool")
_CONFIGURATIONS = ("config", "hparams", "hyper_parameters", "args", "meta", "metadata")
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
_DEEPEST = 8


def find_state_dict(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The model's tensors in a loaded object, with their names as in the file.

    Descends through the known names of `STATE_DICT_KEYS`, then through a single unknown one; optimizer states,
    histories and other entries are passed over.

    Raises:
        CheckpointError: no tensor is found, or several entries could be the model.
    """
    if isinstance(loaded, Tensor):
        raise CheckpointError(path, "the file holds a single tensor", "save the whole state dict")
    found = _descend(path, loaded, 0)
    if found is None:
        entries = ", ".join(map(str, loaded))[:200] if isinstance(loaded, Mapping) else type(loaded).__name__
        raise CheckpointError(
            path, f"no state dict in it (it holds: {entries or 'nothing'})", "save model.state_dict()"
        )
    return found


def find_facts(loaded: Any) -> dict[str, Fact]:
    """The known facts at the top of a loaded object or in its configuration entry."""
    facts: dict[str, Fact] = {}
    if isinstance(loaded, Mapping):
        for source in (*(loaded.get(name) for name in _CONFIGURATIONS), loaded):
            if isinstance(source, Mapping):
                facts |= {key: source[key] for key in FACTS if isinstance(source.get(key), str | int | float | bool)}
    return facts


def strip_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that DataParallel, torch.compile and Lightning put before every name, in any order."""
    names = list(tensors)
    while True:
        prefix = next((p for p in _WRAPPERS if all(name.startswith(p) and name != p for name in names)), None)
        if prefix is None:
            return dict(zip(names, tensors.values(), strict=True))
        names = [name.removeprefix(prefix) for name in names]


def _descend(path: Path, value: Any, depth: int) -> dict[str, Tensor] | None:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return None
    own = {str(name): _plain(item) for name, item in value.items() if isinstance(item, Tensor)}
    if any(tensor.ndim >= 2 for tensor in own.values()):
        return own
    for key in STATE_DICT_KEYS:
        if (found := _descend(path, value.get(key), depth + 1)) is not None:
            return found
    others = {str(name): item for name, item in value.items() if not _is_bookkeeping(str(name))}
    candidates = {
        name: found for name, item in others.items() if (found := _descend(path, item, depth + 1)) is not None
    }
    if len(candidates) > 1:
        listed = ", ".join(candidates)
        raise CheckpointError(path, f"several entries could be the model ({listed})", "save the one you mean by itself")
    return next(iter(candidates.values()), own or None)


def _is_bookkeeping(name: str) -> bool:
    return any(part in name.lower() for part in _NOT_MODEL)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach() if isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad else tensor
