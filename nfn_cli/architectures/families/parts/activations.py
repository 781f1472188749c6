"""Activation functions by the names that configurations give them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nfn_cli.architectures.families.fields import Fields


def _gelu_tanh(values: Tensor) -> Tensor:
    return functional.gelu(values, approximate="tanh")


def _quick_gelu(values: Tensor) -> Tensor:
    return values * torch.sigmoid(1.702 * values)


def _relu_squared(values: Tensor) -> Tensor:
    return torch.relu(values).pow(2)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_python": functional.gelu,
    "gelu_new": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": torch.relu,
    "relu2": _relu_squared,
    "silu": functional.silu,
    "swish": functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def activation_name(fields: Fields, name: str, default: str) -> str:
    """The name of an activation that is known, from a field."""
    word = fields.word(name, default)
    if word not in ACTIVATIONS:
        fields.refuse(name, f"no activation out of {', '.join(ACTIVATIONS)}")
    return word
