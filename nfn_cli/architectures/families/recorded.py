"""A network whose forward pass is recorded as a list of steps, as `nfn zoo wild` writes it beside its checkpoints.

The configuration says `model_type: nfn-steps`, the shape of one picture, and the steps. A step has an `op`, the name of
its tensors where it has any, and its sizes. It reads the step before it, or the one of the number in `from` (-1 is the
picture); `add` reads the steps in `with` as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.images import picture_inputs
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.words import counted

MODEL_TYPE = "nfn-steps"
_TITLE = name_of(__name__)
_MOST_STEPS = 2_000
_LARGEST_SIDE = 1_024


@dataclass(frozen=True)
class Step:
    """One step: what it does, the name of its tensors, its sizes, and which steps it reads."""

    op: str
    name: str | None
    sizes: Mapping[str, Any]
    source: int
    others: tuple[int, ...] = ()


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != MODEL_TYPE:
        return None
    fields = Fields(config, _TITLE)
    picture = config.get("input")
    if not (isinstance(picture, list) and len(picture) == 3 and all(_is_size(own, _LARGEST_SIDE) for own in picture)):
        fields.refuse("input", "not channels, height and width")
    steps = read_steps(config.get("steps"), sum(name.endswith(".weight") for name in shapes))
    channels, height, width = picture
    layers = sum(step.op in ("conv", "linear") for step in steps)
    text = f"{_TITLE}, {counted(layers, 'layer')}"
    inputs = partial(picture_inputs, channels, (height, width))
    return ReferenceModule(_TITLE, text, partial(RecordedNetwork, steps), inputs, sized=True)


def read_steps(listed: Any, most_named: int = _MOST_STEPS) -> tuple[Step, ...]:
    """The steps of a configuration.

    Args:
        most_named: as many of them may have tensors.

    Raises:
        Refusal: they are none.
    """
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_STEPS:
        raise Refusal(f"{_TITLE}: 'steps' of config.json is no list of 1 to {_MOST_STEPS:,} steps")
    steps = tuple(_step(place, own) for place, own in enumerate(listed))
    named = [step.name for step in steps if step.name is not None]
    if len(set(named)) < len(named) or len(named) > most_named:
        raise Refusal(f"{_TITLE}: its steps name other tensors than the file's")
    return steps


def _step(place: int, listed: Any) -> Step:
    if not isinstance(listed, dict) or not isinstance(listed.get("op"), str) or listed["op"] not in _OPS:
        raise Refusal(f"{_TITLE}: step {place} of config.json is none that is known")
    op = _OPS[listed["op"]]
    sizes = {name: listed[name] for name in op.sizes if name in listed}
    others = listed.get("with", [])
    name = listed.get("name")
    known = {"op", "name", "from", "with", *op.sizes}
    source = listed.get("from", place - 1)
    right = (
        set(listed) <= known
        and set(sizes) == set(op.sizes)
        and all(op.sizes[size](value) for size, value in sizes.items())
        and (_is_name(name) if op.make is not None else name is None)
        and isinstance(others, list)
        and bool(others) == (listed["op"] == "add")
        and all(type(own) is int and -1 <= own < place for own in [source, *others])
    )
    if not right:
        raise Refusal(f"{_TITLE}: step {place} ({listed['op']}) of config.json has fields that it cannot have")
    return Step(listed["op"], name, sizes, source, tuple(others))


class RecordedNetwork(nn.Module):
    """Pictures [batch, channels, height, width] through the steps, to logits."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self._steps = steps
        self._plain: dict[int, Callable[[Tensor], Tensor]] = {}
        self._dropouts: dict[int, float] = {}
        for place, step in enumerate(steps):
            op = _OPS[step.op]
            if step.op == "dropout":
                self._dropouts[place] = float(step.sizes["rate"])
            elif step.name is not None:
                assert op.make is not None
                put(self, step.name, op.make(**step.sizes))
            elif op.plain is not None:
                self._plain[place] = op.plain(**step.sizes)

    def forward(self, pictures: Tensor) -> Tensor:
        values: dict[int, Tensor] = {-1: pictures}
        for place, step in enumerate(self._steps):
            value = values[step.source]
            if step.name is not None:
                value = self.get_submodule(step.name)(value)
            elif place in self._dropouts:
                value = F.dropout(value, self._dropouts[place], self.training)
            elif step.op == "add":
                for other in step.others:
                    value = _sum(value, values[other])
            else:
                value = self._plain[place](value)
            values[place] = value
        return values[len(self._steps) - 1]


def _sum(value: Tensor, other: Tensor) -> Tensor:
    """The sum in the channels that both have; what the first one has beyond them stays."""
    common = min(value.shape[1], other.shape[1])
    if common == value.shape[1] == other.shape[1]:
        return value + other
    summed = value[:, :common] + other[:, :common]
    return summed if common == value.shape[1] else torch.cat([summed, value[:, common:]], 1)


def _is_name(name: Any) -> bool:
    """Whether modules can be put under it: letters, digits and dots, and nothing that a module has by itself."""
    parts = name.split(".") if isinstance(name, str) else [""]
    return all(re.fullmatch(r"[0-9]+|[A-Za-z]\w*", part) and not hasattr(nn.Module, part) for part in parts)


def _is_size(value: Any, most: int = 1 << 20) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_small(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 64


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


@dataclass(frozen=True)
class _Op:
    """A kind of step: its sizes with their checks, and the module or the function that it is."""

    sizes: Mapping[str, Callable[[Any], bool]]
    make: Callable[..., nn.Module] | None = None
    plain: Callable[..., Callable[[Tensor], Tensor]] | None = None


def _conv(ins: int, outs: int, kernel: int, stride: int, padding: int, bias: bool) -> nn.Module:
    return nn.Conv2d(ins, outs, kernel, stride, padding, bias=bias)


def _activation(function: Callable[[Tensor], Tensor]) -> _Op:
    return _Op({}, plain=lambda: function)


_OPS: Mapping[str, _Op] = {
    "conv": _Op(
        {
            "ins": _is_size,
            "outs": _is_size,
            "kernel": partial(_is_size, most=64),
            "stride": partial(_is_size, most=64),
            "padding": _is_small,
            "bias": _is_flag,
        },
        make=_conv,
    ),
    "linear": _Op(
        {"ins": _is_size, "outs": _is_size, "bias": _is_flag},
        make=lambda ins, outs, bias: nn.Linear(ins, outs, bias=bias),
    ),
    "batchnorm2d": _Op({"size": _is_size}, make=lambda size: nn.BatchNorm2d(size)),
    "batchnorm1d": _Op({"size": _is_size}, make=lambda size: nn.BatchNorm1d(size)),
    "layernorm": _Op({"size": _is_size}, make=lambda size: nn.LayerNorm(size)),
    "groupnorm": _Op({"groups": _is_size, "size": _is_size}, make=lambda groups, size: nn.GroupNorm(groups, size)),
    "relu": _activation(F.relu),
    "tanh": _activation(torch.tanh),
    "gelu": _activation(F.gelu),
    "sigmoid": _activation(torch.sigmoid),
    "leaky_relu": _activation(partial(F.leaky_relu, negative_slope=0.01)),
    "silu": _activation(F.silu),
    "elu": _activation(F.elu),
    "maxpool": _Op({"size": partial(_is_size, most=64)}, plain=lambda size: partial(F.max_pool2d, kernel_size=size)),
    "avgpool": _Op({"size": partial(_is_size, most=64)}, plain=lambda size: partial(F.avg_pool2d, kernel_size=size)),
    "mean": _activation(lambda value: value.mean((2, 3))),
    "flatten": _activation(lambda value: value.flatten(1)),
    "dropout": _Op({"rate": _is_share}),
    "add": _Op({}),
}
