"""Activations by name, and finding out which one a network has."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError

Source = Literal["option", "sidecar", "metadata", "assumed"]

DEFAULT_OMEGA_0 = 30.0  # Sitzmann et al. 2020 (SIREN)
POOLS = ("max", "avg", "none")
_KNOWN = ("activation", "omega_0", "pool", "value_range")
# Nesting takes YAML time that grows with its square.
_LARGEST_SIDECAR = 64_000  # bytes

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "softsign": F.softsign,
    "erf": torch.erf,
    "identity": lambda values: values,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "hardswish": F.hardswish,
    "relu6": F.relu6,
}

_ALIASES = {
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "sine": "sin",
    "siren": "sin",
    "swish": "silu",
    "linear": "identity",
    "none": "identity",
    "logistic": "sigmoid",
}


@dataclass(frozen=True)
class Activation:
    """What stands between the layers, and who said so.

    Attributes:
        value_range: what a network that is a picture gives for black and for white; None where nobody says.
    """

    name: str
    source: Source
    omega_0: float = DEFAULT_OMEGA_0
    pool: str | None = None
    value_range: tuple[float, float] | None = None


def canonical_activation(name: str, subject: str) -> str:
    """The one name of an activation: `nn.ReLU()` and `RELU` are `relu`.

    Raises:
        ArchitectureError: an unknown activation; `subject` is where it was named.
    """
    short = name.strip().rpartition(".")[2].removesuffix("()").lower().replace("-", "_")
    short = _ALIASES.get(short.replace("_", ""), short)
    if short not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise ArchitectureError(subject, f"unknown activation {_shown(name)}", f"name one of: {known}")
    return short


def resolve_activation(
    checkpoint: Checkpoint, given: str | None, default: str | None, pool: str | None = None
) -> Activation:
    """Who knows the activation decides it: the caller, then a sidecar `<name>.yaml`, the file itself, the default.

    Raises:
        ArchitectureError: nobody knows, an unknown name, or an unreadable sidecar.
    """
    subject = str(checkpoint.path)
    # Each fact, where it stands, and what that place is called. A fact of null is none.
    facts: dict[str, tuple[Any, str, Source]] = {
        key: (value, subject, "metadata") for key, value in checkpoint.metadata.items() if value is not None
    }
    sidecar, told = _sidecar(checkpoint.path)
    facts |= {key: (value, str(sidecar), "sidecar") for key, value in told.items() if value is not None}
    omega_0 = _omega_0(*facts["omega_0"][:2]) if "omega_0" in facts else DEFAULT_OMEGA_0
    if pool is None and "pool" in facts:
        pool = _pool(*facts["pool"][:2])
    shown = _value_range(*facts["value_range"][:2]) if "value_range" in facts else None
    if given is not None:
        return Activation(canonical_activation(given, "--activation"), "option", omega_0, pool, shown)
    if "activation" in facts:
        value, place, source = facts["activation"]
        if not isinstance(value, str):
            raise ArchitectureError(place, f"activation is {_shown(value)}", "name it, such as `activation: relu`")
        return Activation(canonical_activation(value, place), source, omega_0, pool, shown)
    if default is not None:
        return Activation(canonical_activation(default, subject), "assumed", omega_0, pool, shown)
    remedy = f"tell it by --activation, or in a file {checkpoint.path.stem}.yaml beside it (activation: relu)"
    raise ArchitectureError(subject, "the file does not tell its activation", remedy)


def _sidecar(path: Path) -> tuple[Path, dict[str, Any]]:
    """The sidecar (`model.safetensors.yaml`, or else `model.yaml`) and its facts; none if there is no sidecar."""
    for candidate in (path.with_name(f"{path.name}.yaml"), path.with_suffix(".yaml")):
        if not os.path.isfile(candidate):
            continue
        try:
            with candidate.open("rb") as file:
                content = file.read(_LARGEST_SIDECAR + 1)
            if len(content) > _LARGEST_SIDECAR:
                raise ValueError(f"larger than {_LARGEST_SIDECAR:,} bytes")
            facts = yaml.safe_load(content.decode("utf-8"))
        except Exception as error:
            # Besides its own errors, YAML fails with those of int(), datetime() and the stack on odd values.
            raise ArchitectureError(candidate, f"not readable YAML ({error})", "mend or remove it") from error
        if not isinstance(facts, dict):
            raise ArchitectureError(candidate, "holds no facts", "write lines such as `activation: relu`")
        return candidate, {key: facts[key] for key in _KNOWN if key in facts}
    return path, {}


def _omega_0(value: Any, subject: str) -> float:
    try:
        omega_0 = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        omega_0 = math.nan
    if not (math.isfinite(omega_0) and omega_0 > 0):
        raise ArchitectureError(subject, f"omega_0 is {_shown(value)}", "give a positive number")
    return omega_0


def _pool(value: Any, subject: str) -> str:
    if value not in POOLS:
        raise ArchitectureError(subject, f"pool is {_shown(value)}", f"give one of: {', '.join(POOLS)}")
    return str(value)


def _value_range(value: Any, subject: str) -> tuple[float, float]:
    """Two different numbers, as a text such as `-1 1` or a list."""
    try:
        parts = value.split() if isinstance(value, str) else list(value)
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ArchitectureError(subject, f"value_range is {_shown(value)}", "give two numbers, such as -1 1")
    return low, high


def _shown(value: Any) -> str:
    return reprlib.repr(value)
