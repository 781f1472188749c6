"""The tensors that a forward pass returns, whatever it packs them in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

import torch
from torch import Tensor

_DEEPEST = 64
# Those that policies return; their parameters are all of them.
_DISTRIBUTIONS = ("Normal", "Categorical", "Bernoulli", "Beta", "MultivariateNormal", "OneHotCategorical")
# What holds no tensor.
_PLAIN = (type(None), bool, int, float, complex, str, bytes, Enum, torch.dtype, torch.device)


def output_tensors(value: object) -> list[Tensor]:
    """The floating (and complex) tensors of a forward pass's value, in its own order.

    Of tuples, lists, mappings, dataclasses, and all that are made of these; of usual distributions, the parameters.
    Key-value caches are left out.

    Raises:
        ValueError: something else is in it, which may hold tensors that would be ignored; with the cause.
    """
    return [tensor for tensor in all_tensors(value) if is_real(tensor)]


def all_tensors(value: object) -> list[Tensor]:
    """As `output_tensors`, with whole numbers and truth values.

    Raises:
        ValueError: as there.
    """
    found: list[Tensor] = []
    _collect(value, found, 0)
    return found


def is_real(tensor: Tensor) -> bool:
    """Whether it holds real or complex numbers, rather than whole ones or truth values."""
    return tensor.is_floating_point() or tensor.is_complex()


def _collect(value: object, found: list[Tensor], depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("computes values that are nested without end")
    if isinstance(value, Tensor):
        found.append(value)
    elif isinstance(value, _PLAIN) or _is_cache(value):
        return
    elif isinstance(value, Mapping):  # a ModelOutput is one, and leaves out what is None
        for part in value.values():
            _collect(part, found, depth + 1)
    elif isinstance(value, tuple | list):
        for part in value:
            _collect(part, found, depth + 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            _collect(getattr(value, field.name, None), found, depth + 1)
    elif isinstance(value, torch.distributions.Independent):
        _collect(value.base_dist, found, depth + 1)
    elif isinstance(value, torch.distributions.Distribution) and type(value).__name__ in _DISTRIBUTIONS:
        names: Any = value.arg_constraints  # a property of the class itself, in fact a dict
        for name in names:
            _collect(getattr(value, name), found, depth + 1)
    else:
        raise ValueError(f"computes a {type(value).__name__}")


def _is_cache(value: object) -> bool:
    """Whether it is what a language model keeps of the tokens before, as transformers calls it."""
    return any(
        made.__name__ in ("Cache", "DynamicCache", "EncoderDecoderCache")
        and made.__module__.startswith("transformers.")
        for made in type(value).__mro__
    )
