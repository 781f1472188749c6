"""Activations by name, and finding out which one a network has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.frequencies import DEFAULT_OMEGA_0, Frequencies, resolve_frequencies
from nfn_cli.architectures.stated import Facts, Source, Stated, text_fact
from nfn_cli.errors import ArchitectureError, shown

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
    "prelu": lambda values: F.leaky_relu(values, 0.25),  # PyTorch's first slope, where a network's own are not at hand
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
    "parametricrelu": "prelu",
}
# Such as `ReLU(inplace=True)`, `<class 'torch.nn.modules.activation.ReLU'>`, `<function relu at 0x7f>`, `nn.ReLU`.
_WRITTEN = re.compile(r"<(?:class|function|built-in method|built-in function)\s+'?([\w.]+)'?.*>")
_CALLED = re.compile(r"([\w.\- ]+?)\s*\((.*)\)")
_SLOPE = re.compile(r"(?:^|[=,\s(_-])(\d*\.?\d+(?:e-?\d+)?)(?=$|[,)\s])", re.IGNORECASE)


@dataclass(frozen=True)
class Activation:
    """What stands between the layers, and who said so.

    Attributes:
        frequencies: of sines, as far as anybody tells them.
        slope: of a leaky ReLU; None where nobody tells it.
        value_range: what a network that is a picture gives for black and for white; None where nobody says.
    """

    name: str
    source: Source
    frequencies: Frequencies = field(default_factory=Frequencies)
    pool: str | None = None
    value_range: tuple[float, float] | None = None
    slope: float | None = None

    @property
    def omega_0(self) -> float:
        """The frequency that all layers share; 30 where nobody tells one."""
        each = self.frequencies.each
        return each[0] if len(set(each)) == 1 else DEFAULT_OMEGA_0


def canonical_activation(name: str, subject: str) -> str:
    """The one name of an activation: `nn.ReLU()`, `RELU` and `<class '...ReLU'>` are `relu`.

    Raises:
        ArchitectureError: an unknown activation; `subject` is where it was named.
    """
    return _named(name, subject)[0]


def _named(name: str, subject: str) -> tuple[str, float | None]:
    """The one name of an activation, and the slope of a leaky ReLU where the text tells it."""
    text, stated = name.strip(), ""
    if found := _WRITTEN.fullmatch(text):
        text = found[1]
    if found := _CALLED.fullmatch(text):
        text, stated = found[1], found[2]
    short = text.rpartition(".")[2] if not re.search(r"\.\d+$", text) else text
    short = short.strip().lower().replace("-", "_").replace(" ", "_")
    if found := re.fullmatch(r"(leaky_?relu|lrelu|p_?relu)_?(\d*\.?\d+)", short):  # leaky_relu_0.2
        short, stated = found[1], found[2]
    short = _ALIASES.get(short.replace("_", ""), short)
    short = "prelu" if short == "p_relu" else short
    if short not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise ArchitectureError(subject, f"unknown activation {shown(name)}", f"name one of: {known}")
    slope = _SLOPE.search(stated) if short == "leaky_relu" else None
    return short, float(slope[1]) if slope else None


def resolve_activation(
    facts: Facts, subject: str, stated: Stated, default: str | None = None, found: str | None = None
) -> Activation:
    """Who knows the activation decides it: the caller, then sidecars, the file itself, its tensors, the default.

    Args:
        subject: the file.
        found: what its tensors show.

    Raises:
        ArchitectureError: nobody knows, or an unknown name.
    """
    frequencies = resolve_frequencies(facts, stated.omega_0)
    pool = stated.pool
    if pool is None and (fact := facts.get("pool")):
        pool = _pool(fact.value, fact.place)
    fact = facts.get("value_range")
    values = _value_range(fact.value, fact.place) if fact else None
    source: Source
    if stated.activation is not None:
        (name, slope), source = _named(stated.activation, "--activation"), "option"
    elif fact := facts.get("activation"):
        (name, slope), source = _named(text_fact("activation", fact), fact.place), fact.source
    elif found is not None:
        name, slope, source = found, None, "found"
    elif default is not None:
        (name, slope), source = _named(default, subject), "assumed"
    else:
        remedy = "tell it by --activation, or in a file of its name that ends in .yaml (activation: relu)"
        raise ArchitectureError(subject, "the file does not tell its activation", remedy)
    return Activation(name, source, frequencies, pool, values, slope)


def _pool(value: Any, subject: str) -> str:
    if value not in POOLS:
        raise ArchitectureError(subject, f"pool is {shown(value)}", f"give one of: {', '.join(POOLS)}")
    return str(value)


def _value_range(value: Any, subject: str) -> tuple[float, float]:
    """Two different numbers, as a text such as `-1 1` or a list."""
    try:
        parts = value.split() if isinstance(value, str) else list(value)
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ArchitectureError(subject, f"value_range is {shown(value)}", "give two numbers, such as -1 1")
    return low, high
