"""Where an unfinished fit keeps its state: one file in the head's folder, so that a stopped fit can go on.

The file is safetensors, which executes nothing when it is read. Tensors are the members' weights, the optimiser's
moments and the random generators; everything else is a JSON text in the file's metadata. It is written whole or not at
all, so a kill at any moment leaves the state of some finished epoch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nfn_cli.checkpoints import save_tensors
from nfn_cli.errors import DataError
from nfn_cli.folders import make_folder
from nfn_cli.nn.head_folder import CONFIG_FILE

STATE_FILE = ".fit.safetensors"
SECONDS_BETWEEN = 5.0
_FORMAT = "nfn-fit-1"


@dataclass(frozen=True)
class FitState:
    """A fit after some epoch: tensors by name, and plain values that JSON keeps exactly."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


class StateKeeper:
    """Writes the state of a fit into a head's folder every few seconds, and reads the one that is there.

    Args:
        folder: the head's; made with the first state, if need be.
        made_of: what the fit follows from (settings and data, as plain values); a state only continues in a fit that
            is made of the same.
        overwrite: begin anew where the folder holds the state of another fit, or a damaged one.

    Raises:
        DataError: without `overwrite`, the folder holds such a state; the message names what differs.
    """

    def __init__(self, folder: Path, made_of: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self._folder, self._made_of = folder, dict(made_of)
        self.saved: FitState | None = None
        try:
            self.saved = self._read()
        except DataError:
            if not overwrite:
                raise
            self.remove()
        self._next = -math.inf

    def due(self) -> bool:
        """Whether it is time to save: at first, then every few seconds."""
        return time.monotonic() >= self._next

    def save(self, state: FitState) -> None:
        """Replace the state on disk; the folder is made if need be.

        Raises:
            DataError, CheckpointError: the folder or the file cannot be written.
        """
        make_folder(self._folder)
        text = json.dumps({"format": _FORMAT, "made_of": self._made_of, "values": dict(state.values)})
        save_tensors(self._folder / STATE_FILE, state.tensors, {"fit": text}, overwrite=True)
        self._next = time.monotonic() + SECONDS_BETWEEN

    def remove(self) -> None:
        """Remove the state, of a fit that is finished or given up."""
        (self._folder / STATE_FILE).unlink(missing_ok=True)

    def _read(self) -> FitState | None:
        """The state in the folder, None where there is none.

        Raises:
            DataError: it is damaged, or that of a fit made of something else; the message names what differs.
        """
        path = self._folder / STATE_FILE
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                record = json.loads((file.metadata() or {})["fit"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            if record["format"] != _FORMAT:
                raise ValueError("of another version of nfn")
            before, values = dict(record["made_of"]), dict(record["values"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            cause = f"not the readable state of an unfinished fit ({error})"
            raise DataError(path, cause, "remove it, or pass --overwrite to begin anew") from error
        # Through JSON, as the other went: tuples are lists there.
        now = json.loads(json.dumps(self._made_of))
        changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            cause = f"holds an unfinished fit of another {', '.join(changed)}"
            remedy = "repeat its command to go on, or pass --overwrite to begin anew"
            raise DataError(self._folder, cause, remedy)
        return FitState(tensors, values)


def has_state(folder: Path) -> bool:
    """Whether a folder holds the state of an unfinished fit; that of a head to be replaced counts."""
    return (folder / STATE_FILE).is_file()


def is_unfinished(folder: Path) -> bool:
    """Whether a folder holds the state of an unfinished fit, and no head yet."""
    return has_state(folder) and not (folder / CONFIG_FILE).exists()


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's tensors, by the names of a `FitState`; its plain values are kept there as `groups`."""
    state = optimizer.state_dict()["state"]
    return {f"moments.{number}.{name}": tensor for number, own in state.items() for name, tensor in own.items()}


def restore_moments(optimizer: torch.optim.Optimizer, state: FitState) -> None:
    """Inverse of `moments`."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.part("moments.").items():
        parameter, name = key.split(".")
        found.setdefault(int(parameter), {})[name] = tensor
    optimizer.load_state_dict({"state": found, "param_groups": state.values["groups"]})


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """States of torch's global generators that a fit on `device` draws from, uint8 each."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Inverse of `generator_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["device"])
