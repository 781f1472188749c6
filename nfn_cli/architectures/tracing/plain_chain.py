"""Is a module one plain chain? Its traced graph shows the layers in order, and what lies between each two of them.

A state dict shows neither. What is found here is proven of the module, where names and shapes are assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import fx

from nfn_cli.architectures.tracing.export import Exported
from nfn_cli.architectures.tracing.flat_graph import operator_name

_LAYERS = ("linear", "conv1d", "conv2d", "conv3d")
# As FUNCTIONS names them, with the numbers without which they are other functions.
_ACTIVATIONS: dict[str, dict[str, Any]] = {
    "relu": {}, "tanh": {}, "sigmoid": {}, "silu": {}, "selu": {}, "mish": {}, "hardswish": {}, "relu6": {}, "erf": {},
    "sin": {}, "prelu": {}, "leaky_relu": {}, "gelu": {"approximate": "none"},
    "elu": {"alpha": 1, "scale": 1, "input_scale": 1}, "softplus": {"beta": 1, "threshold": 20},
    "hardtanh": {"min_val": 0, "max_val": 6},
}  # fmt: skip
_POOLS = {f"{kind}{pool}_pool{n}d": pool for kind in ("", "adaptive_") for pool in ("max", "avg") for n in (1, 2, 3)}
_SHAPES = ("flatten", "view", "reshape", "_unsafe_view", "squeeze")
_NOTHING = ("dropout", "feature_dropout", "alpha_dropout", "clone", "contiguous", "alias", "detach", "getitem")
_SCORES = ("softmax", "_softmax", "log_softmax", "_log_softmax")
_SLOPE = 0.01  # of PyTorch's leaky ReLU where nothing is said
_EPSILON = 1e-5  # of a BatchNorm, with which it is folded


class NoChainError(ValueError):
    """A module is no plain chain; why not."""


@dataclass(frozen=True)
class PlainChain:
    """A module's chain.

    Attributes:
        layers: names of its linear layers and convolutions, in the order of computation.
        activation: between every two of them, a leaky ReLU with its slope; None of a single layer.
        omegas: of sines, sin(ω₀ z), one a layer but the last.
        pool: max, avg or none: the pooling between layers; max where both are.
        norms: the BatchNorm directly behind a layer, by the layer's name.
        behind: operators behind the last layer that are neither a softmax nor a change of shape, such as `tanh`.
    """

    layers: tuple[str, ...]
    activation: str | None
    omegas: tuple[float, ...]
    pool: str
    norms: Mapping[str, str]
    behind: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    """An operator on the path from input to output, and the one before it."""

    node: fx.Node
    before: fx.Node

    @property
    def kind(self) -> str:
        return operator_name(self.node).removeprefix("aten.").removesuffix("_")

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape(self.node)

    def argument(self, name: str, default: Any = None) -> Any:
        schema = getattr(self.node.target, "_schema", None)
        declared = [] if schema is None else [argument.name for argument in schema.arguments]
        given = dict(zip(declared, self.node.args, strict=False)) | dict(self.node.kwargs)
        return given.get(name, default)


@dataclass
class _Joint:
    """What stands between two layers."""

    activation: str | None = None
    omega: float = 1.0
    pool: str = "none"
    norm: str | None = None
    slopes: str | None = None  # the module of a PReLU


def plain_chain(exported: Exported) -> PlainChain:
    """Walk along the graph of a module from its input to its output.

    Raises:
        NoChainError: it is more than layers with one activation between them, pooling, flattening, and BatchNorms
            directly behind layers.
    """
    path = list(_path(exported))
    cuts = [place for place, step in enumerate(path) if step.kind in _LAYERS]
    if not cuts:
        raise NoChainError("no linear layer or convolution of its own is on the way from input to output")
    layers = [_layer(exported, path[place]) for place in cuts]
    if len(set(layers)) < len(layers):
        raise NoChainError("a layer is used twice")
    joints = [_joint(exported, path[start : end + 1]) for start, end in pairwise(cuts)]
    kinds = {joint.activation for joint in joints}
    if len(kinds) > 1:
        raise NoChainError(f"it has several activations ({', '.join(sorted(map(str, kinds)))})")
    pools = {joint.pool for joint in joints}
    held = {*layers, *(joint.norm for joint in joints), *(joint.slopes for joint in joints)}
    unused = next((own.name for own in exported.names.held if own.name.rpartition(".")[0] not in held), None)
    if unused is not None:
        raise NoChainError(f"{unused} is no part of the chain")
    tail = path[cuts[-1] + 1 :]
    return PlainChain(
        tuple(layers),
        next(iter(kinds), None),
        tuple(joint.omega for joint in joints) if kinds == {"sin"} else (),
        "max" if "max" in pools else "avg" if "avg" in pools else "none",
        {layer: joint.norm for layer, joint in zip(layers, joints, strict=False) if joint.norm is not None},
        tuple(step.kind for step in tail if step.kind not in (*_SCORES, *_SHAPES, *_NOTHING)),
    )


def _path(exported: Exported) -> Iterator[_Step]:
    """The operators from the input to the output, each of which takes what the one before gives, and nothing else does.

    Raises:
        NoChainError: there are several inputs, outputs or ways.
    """
    inputs = [
        node
        for node in exported.graph.nodes
        if node.op == "placeholder" and exported.placeholders[node.name].kind == "input" and node.users
    ]
    if len(inputs) != 1 or len(exported.outputs) != 1:
        raise NoChainError(f"it has {len(inputs)} inputs and {len(exported.outputs)} outputs")
    (node,), (last,) = inputs, exported.outputs
    while node is not last:
        after = [user for user in node.users if user.op == "call_function" and (user.users or user is last)]
        if len(after) != 1:
            ways = f"go to {len(after)} places" if after else "go nowhere"
            name = "its inputs" if node.op == "placeholder" else f"the values of {exported.place_of(node)}"
            raise NoChainError(f"{name} {ways}")
        others = [part for part in after[0].all_input_nodes if part is not node]
        if any(part.op != "placeholder" or exported.placeholders[part.name].held is None for part in others):
            raise NoChainError(f"{exported.place_of(after[0])} takes more than one value")
        yield _Step(after[0], node)
        node = after[0]
    if any(user.op != "output" for user in last.users):
        raise NoChainError("an output is used further")


def _layer(exported: Exported, step: _Step) -> str:
    """The name of a layer.

    Raises:
        NoChainError: its weights are no module's own, or it works on other axes than a chain's layers do.
    """
    where = exported.place_of(step.node)
    owners = {part: _owner(exported, step.argument(part), part) for part in ("weight", "bias")}
    name = owners["weight"]
    if name is None or (step.argument("bias") is not None and owners["bias"] != name):
        raise NoChainError(f"{where} computes with other tensors than a layer's weight and bias")
    if step.argument("groups", 1) != 1:
        raise NoChainError(f"{where} has several groups")
    return name


def _joint(exported: Exported, path: Sequence[_Step]) -> _Joint:
    """What stands between a layer, the first step of a path, and the next one, the last step.

    Raises:
        NoChainError: no activation, or something that is not understood.
    """
    found, factor = _Joint(), 1.0
    layer, *steps, following = path
    spatial = layer.kind.startswith("conv")
    for place, step in enumerate(steps):
        where, kind = exported.place_of(step.node), step.kind
        if kind == "mul" and isinstance(step.node.args[-1], int | float) and found.activation is None:
            factor *= float(step.node.args[-1])
        elif kind in _ACTIVATIONS and found.activation is None:
            found.activation, found.omega = _activation(step, where), factor
            if factor != 1.0 and not (kind == "sin" and factor > 0):
                raise NoChainError(f"{where} reads what is multiplied by {factor:g}")
            if kind == "prelu":
                found.slopes = _owner(exported, step.argument("weight"), "weight")
        elif kind == "batch_norm" and place == 0 and (spatial or len(step.shape) == 2):
            found.norm = _norm(exported, step, where)
        elif spatial and kind in _POOLS:
            found.pool = "max" if "max" in (found.pool, _POOLS[kind]) else "avg"
        elif spatial and kind == "mean" and _is_spatial(step):
            found.pool = "max" if found.pool == "max" else "avg"
        elif not (kind in _NOTHING or (kind in _SHAPES and _keeps_neurons(step, spatial))):
            raise NoChainError(f"{where} stands between two layers")
    where = exported.place_of(following.node)
    if found.activation is None:
        raise NoChainError(f"no activation stands before {where}")
    if following.kind != layer.kind and not (spatial and len(_shape(following.before)) == 2):
        raise NoChainError(f"{where} works on other axes than {exported.place_of(layer.node)}")
    return found


def _activation(step: _Step, where: str) -> str:
    for name, usual in _ACTIVATIONS[step.kind].items():
        if (value := step.argument(name, usual)) != usual:
            raise NoChainError(f"{where} has {name} {value}")
    if step.kind == "leaky_relu" and not math.isclose(slope := step.argument("negative_slope", _SLOPE), _SLOPE):
        return f"leaky_relu({slope:g})"
    return "relu6" if step.kind == "hardtanh" else step.kind


def _norm(exported: Exported, step: _Step, where: str) -> str:
    name = _owner(exported, step.argument("running_mean"), "running_mean")
    if name is None or step.argument("training") or not math.isclose(step.argument("eps", 0), _EPSILON):
        raise NoChainError(f"{where} has no running statistics, or another epsilon than {_EPSILON:g}")
    return name


def _is_spatial(step: _Step) -> bool:
    """Whether a mean is over the positions of a convolution's channels."""
    axes, rank = step.argument("dim"), len(_shape(step.before))
    return bool(axes) and rank > 2 and all(axis % rank >= 2 for axis in axes)


def _keeps_neurons(step: _Step, spatial: bool) -> bool:
    """Whether a change of shape leaves each neuron the entries that it has, one behind the other."""
    old, new = _shape(step.before), step.shape
    if old == new:
        return True
    flat = len(new) == 2 and new[1] == math.prod(old[1:])
    return spatial and len(new) > 1 and new[0] == old[0] and (new[1] == old[1] or flat)


def _owner(exported: Exported, node: object, part: str) -> str | None:
    """The name of the module whose `part` (weight, bias ...) goes in."""
    place = exported.placeholders.get(node.name) if isinstance(node, fx.Node) else None
    if place is None or place.held is None or place.name.rpartition(".")[2] != part:
        return None
    return place.name.rpartition(".")[0]


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    return tuple(int(size) for size in getattr(value, "shape", ()))
