"""Fields of a `config.json` that a stranger wrote."""

from __future__ import annotations

import math
import re

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.families.family import Config
from nfn_cli.architectures.families.layers import Function
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.errors import shown


def _tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


FUNCTIONS: dict[str, Function] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "gelu_new": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
}


def is_timm(config: Config, names: re.Pattern[str]) -> bool:
    """Whether timm's configuration names a network of these, built as the library builds it.

    Raises:
        Refusal: it names arguments of its own.
    """
    name = config.get("architecture")
    if "model_type" in config or not isinstance(name, str) or not names.fullmatch(name):
        return False
    if config.get("model_args"):
        raise Refusal("the configuration's model_args are not known")
    return True


def function_of(config: Config, field: str, default: str) -> Function:
    """An activation by its name.

    Raises:
        Refusal: the name is not known.
    """
    name = config.get(field, default)
    if not isinstance(name, str) or name not in FUNCTIONS:
        raise Refusal(f"the configuration's {field} is {shown(name)}, not one of {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name]


def number_of(config: Config, field: str, default: float) -> float:
    """A number above zero.

    Raises:
        Refusal: it is none.
    """
    value = config.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise Refusal(f"the configuration's {field} is {shown(value)}, not a number above zero")
    return float(value)


def flag_of(config: Config, field: str, default: bool) -> bool:
    """True or false.

    Raises:
        Refusal: it is neither.
    """
    value = config.get(field, default)
    if not isinstance(value, bool):
        raise Refusal(f"the configuration's {field} is {shown(value)}, neither true nor false")
    return value
