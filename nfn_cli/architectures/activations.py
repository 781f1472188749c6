"""Activations by name, and finding out which one a network has."""

from __future__ import annotations

import math
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
    """What stands between the layers, and who said so."""

    name: str
    source: Source
    omega_0: float = DEFAULT_OMEGA_0
    pool: str | None = None


def canonical_activation(name: str, subject: str) -> str:
    """The one name of an activation: `nn.ReLU()` and `RELU` are `relu`.

    Raises:
        ArchitectureError: an unknown activation; `subject` is where it was named.
    """
    short = name.strip().rpartition(".")[2].removesuffix("()").lower().replace("-", "_")
    short = _ALIASES.get(short.replace("_", ""), short)
    if short not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise ArchitectureError(subject, f"unknown activation {name!r}", f"name one of: {known}")
    return short


def resolve_activation(checkpoint: Checkpoint, given: str | None, default: str | None) -> Activation:
    """Who knows the activation decides it: the caller, then a sidecar `<name>.yaml`, the file itself, the default.

    Raises:
        ArchitectureError: nobody knows, an unknown name, or an unreadable sidecar.
    """
    subject = str(checkpoint.path)
    facts: dict[str, Any] = dict(checkpoint.metadata)
    sources: dict[str, Source] = dict.fromkeys(facts, "metadata")
    for key, value in _sidecar(checkpoint.path).items():
        facts[key], sources[key] = value, "sidecar"
    omega_0 = _omega_0(facts.get("omega_0", DEFAULT_OMEGA_0), subject)
    pool = _pool(facts.get("pool"), subject)
    if given is not None:
        return Activation(canonical_activation(given, "--activation"), "option", omega_0, pool)
    if "activation" in facts:
        name = canonical_activation(str(facts["activation"]), subject)
        return Activation(name, sources["activation"], omega_0, pool)
    if default is not None:
        return Activation(canonical_activation(default, subject), "assumed", omega_0, pool)
    remedy = f"tell it by --activation, or in a file {checkpoint.path.stem}.yaml beside it (activation: relu)"
    raise ArchitectureError(subject, "the file does not tell its activation", remedy)


def _sidecar(path: Path) -> dict[str, Any]:
    """Facts from `model.yaml` or `model.safetensors.yaml` beside `model.safetensors`."""
    for candidate in (path.with_name(f"{path.name}.yaml"), path.with_suffix(".yaml")):
        if not candidate.is_file():
            continue
        try:
            facts = yaml.safe_load(candidate.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ArchitectureError(candidate, f"not readable YAML ({error})", "mend or remove it") from error
        if not isinstance(facts, dict):
            raise ArchitectureError(candidate, "holds no facts", "write lines such as `activation: relu`")
        return {key: facts[key] for key in ("activation", "omega_0", "pool") if key in facts}
    return {}


def _omega_0(value: Any, subject: str) -> float:
    try:
        omega_0 = float(value)
    except (TypeError, ValueError):
        omega_0 = math.nan
    if not (math.isfinite(omega_0) and omega_0 > 0):
        raise ArchitectureError(subject, f"omega_0 is {value!r}", "give a positive number")
    return omega_0


def _pool(value: Any, subject: str) -> str | None:
    if value is not None and value not in POOLS:
        raise ArchitectureError(subject, f"pool is {value!r}", f"give one of: {', '.join(POOLS)}")
    return None if value in (None, "none") else str(value)
