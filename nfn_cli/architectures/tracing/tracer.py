"""Labels of a whole network: its graph, operator by operator.

>>> from torch import nn
>>> import torch
>>> from nfn_cli.architectures.tracing.export import export
>>> found = trace(export(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval(), (torch.zeros(3, 4),)))
>>> [(block.name, block.n) for block in found.blocks], found.logs.free
([('0', 8)], 8)
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.aliases import Aliases
from nfn_cli.architectures.tracing.assembly import assembled
from nfn_cli.architectures.tracing.export import Exported, Placeholder
from nfn_cli.architectures.tracing.phases import rotary_phases
from nfn_cli.architectures.tracing.rules import RULES, SHAPES_ONLY, Call
from nfn_cli.architectures.tracing.rules.registry import as_value
from nfn_cli.architectures.tracing.simpler import simpler_graph
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value
from nfn_cli.architectures.tracing.watching import Watch
from nfn_cli.errors import ArchitectureError

_LARGEST = 1 << 20  # numbers of a constant that are kept
_ZEROS = ("aten::zeros", "aten::zeros_like", "aten::new_zeros")
_REMEDY = "nfn has no rule for it, and refuses rather than guesses"


def trace(exported: Exported, *, subject: str = "--model", gauges: bool = True) -> LabelledArchitecture:
    """The group that leaves a module's function alone, proven operator by operator.

    Args:
        gauges: whether to look for what else does, which takes time and changes nothing of the rest.

    Raises:
        ArchitectureError: an operator has no rule, or meets labels in a way that no rule knows; with its place in the
            module.
    """
    state, aliases = Trace(), Aliases()
    state.watch = Watch() if gauges else None
    values: dict[fx.Node, Any] = {}
    if exported.names.overlapping:
        first, second = exported.names.overlapping[0]
        raise ArchitectureError(subject, f"{first} and {second} are two views of one memory", "give each its own")
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            aliases.enter(node)
            values[node] = _placed(exported.placeholders[node.name], node)
            if node.name in exported.changed:
                values[node] = _Refused("it is changed in place by the forward pass")
        elif node.op == "call_function":
            place = exported.place_of(node)
            state.place = place.rpartition(": ")[0]
            try:
                run(state, node, values, aliases)
            except Unsupported as error:
                raise ArchitectureError(subject, f"{place}: {error}", _REMEDY) from error
            except (
                ArithmeticError,
                AssertionError,
                AttributeError,
                LookupError,
                RuntimeError,
                TypeError,
                ValueError,
            ) as error:
                cause = f"{place}: used in a way that its rule does not know ({type(error).__name__})"
                raise ArchitectureError(subject, cause, _REMEDY) from error
        elif node.op == "output":
            continue
        else:
            values[node] = _Refused("a graph within the graph")
    for node in exported.outputs:
        try:
            shown(state, values[node])
        except Unsupported as error:
            raise ArchitectureError(subject, f"{exported.place_of(node)}: {error}", _REMEDY) from error
    if unseen := sorted(name for name in state.unread if name not in state.uses):
        cause = f"{unseen[0]} meets nothing but zeros on these inputs, as in the first step of a recurrence"
        raise ArchitectureError(subject, cause, "give longer example inputs")
    try:
        found = assembled(state, exported.names)
    except Unsupported as error:
        raise ArchitectureError(subject, str(error), _REMEDY) from error
    if state.watch is None:
        return found
    phases = rotary_phases(exported.graph, values, state, state.watch)
    return replace(found, gauges=(*found.gauges, *phases))


def run(state: Trace, node: fx.Node, values: dict[fx.Node, Any], aliases: Aliases) -> None:
    """Enter what an operator computes, and that what it changes in place is out of date."""
    found = called(state, node, values)
    for older in aliases.changed_by(node):
        before = values.get(older)
        if isinstance(before, Value) and not before.is_live and not _is_live(found):
            values[older] = replace(before, data=None)
        else:
            values[older] = _Refused("a value that has been changed in place is read by an older view")
    values[node] = found


def _is_live(found: Any) -> bool:
    parts = _pytree.tree_leaves(found, is_leaf=_is_operand)
    return any(isinstance(part, Parameter) or (isinstance(part, Value) and part.is_live) for part in parts)


class _Refused:
    """A value that no operator may read."""

    def __init__(self, cause: str) -> None:
        self.cause = cause


def _placed(place: Placeholder, node: fx.Node) -> Any:
    like = node.meta.get("val")
    if not isinstance(like, Tensor):
        return like
    shape = tuple(like.shape)
    if place.held is not None and place.held.stored and like.is_floating_point():
        base = torch.empty(shape, device="meta")
        return Parameter(place.name, base, base)
    return Value(shape, data=_small(place.value))


def _small(value: Tensor | None) -> Tensor | None:
    return value if value is not None and not value.is_meta and value.numel() <= _LARGEST else None


def shown(state: Trace, output: Any) -> None:
    """An output stays as it is: its neurons in their places, its scale 1."""
    for found in output if isinstance(output, (list, tuple)) else [output]:
        if isinstance(found, _Refused):
            raise Unsupported(found.cause)
        if not isinstance(found, (Value, Parameter)):
            continue
        value = as_value(state, found)
        if state.watch is not None:
            state.watch.shown(value)
        state.still(value)
        for factor in value.factors:
            for axis in factor.axes:
                state.colour(factor.labels, axis)


def called(state: Trace, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """What an operator computes.

    Raises:
        Unsupported: it has no rule.
    """

    def value_of(part: fx.Node) -> Any:
        found = values[part]
        if isinstance(found, _Refused):
            raise Unsupported(found.cause)
        return found

    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), value_of)
    if node.target is operator.getitem:
        sequence: Any = args[0]
        return sequence[args[1]]
    outputs = node.meta.get("val")
    operands = [part for part in _pytree.tree_leaves((args, kwargs), is_leaf=_is_operand) if _is_operand(part)]
    live = [part for part in operands if isinstance(part, Parameter) or part.is_live]
    schema = getattr(node.target, "_schema", None)
    name = (schema.name if schema is not None else getattr(node.target, "__name__", str(node.target))).split("::")[-1]
    tensors = [part for part in _pytree.tree_leaves(outputs) if isinstance(part, Tensor)]
    shapes, dtypes = tuple(tuple(part.shape) for part in tensors), tuple(part.dtype for part in tensors)
    call = Call(name, node.target, tuple(args), kwargs, shapes, dtypes)
    parameters = {part.name for part in operands if isinstance(part, Parameter)}
    before = {own: len(state.uses.get(own, ())) for own in parameters}

    def watched(found: Any) -> Any:
        if state.watch is None:
            return found
        made = {own: state.uses[own][count:] for own, count in before.items() if own in state.uses}
        return state.watch.saw(call, operands, found, made)

    if not live:
        return watched(_constant(node, args, kwargs, operands, outputs))
    if any(part.is_complex() for part in tensors):
        raise Unsupported("complex numbers")
    if name not in RULES:
        inner = simpler_graph(node)
        if inner is None:
            raise Unsupported("no rule")
        return _inner(state, inner, operands)
    found = RULES[name](state, call)
    _check(found, shapes)
    kept = {part.name for part in _pytree.tree_leaves(found, is_leaf=_is_operand) if isinstance(part, Parameter)}
    if name not in SHAPES_ONLY and any(
        len(state.uses.get(own, ())) == before[own] for own in parameters - kept - state.unread
    ):
        raise Unsupported("a tensor that its rule does not read")
    return watched(found)


def _check(found: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Look at what a rule says: every array has the rank of its value, and the value its operator's shape."""
    parts = [part for part in _pytree.tree_leaves(found, is_leaf=_is_operand) if _is_operand(part)]
    if parts and tuple(part.shape for part in parts) != shapes:
        raise Unsupported("its rule knows another shape")
    for part in parts:
        if isinstance(part, Value):
            arrays = [*[factor.labels for factor in part.factors], *[array for _, array in part.terms]]
            arrays += [factor.slots for factor in part.factors if factor.slots is not None]
            for array in arrays:
                if len(array.shape) != len(part.shape) or any(
                    own not in (1, size) for own, size in zip(array.shape, part.shape, strict=True)
                ):
                    raise Unsupported("its rule knows another shape")


def _is_operand(part: Any) -> bool:
    return isinstance(part, (Value, Parameter))


def _inner(state: Trace, graph: fx.Graph, operands: list[Any]) -> Any:
    """An operator without a rule, by the simpler ones that it is made of."""
    values: dict[fx.Node, Any] = {}
    aliases = Aliases()
    places = [node for node in graph.nodes if node.op == "placeholder"]
    values.update(zip(places, operands, strict=True))
    for node in graph.nodes:
        if node.op == "placeholder":
            aliases.enter(node)
        elif node.op == "call_function":
            run(state, node, values, aliases)
        elif node.op == "output":
            return fx.map_arg(node.args[0], lambda part: values[part])
        else:
            raise Unsupported("no rule")
    raise Unsupported("no rule")


def _constant(node: fx.Node, args: Any, kwargs: Any, operands: list[Any], outputs: Any) -> Any:
    """What is computed of inputs and constants alone; with its numbers, where they are few and known."""
    known = all(part.data is not None for part in operands)
    schema = getattr(node.target, "_schema", None)
    if isinstance(outputs, Tensor) and schema is not None and schema.name in _ZEROS:
        # Of any size: one zero, expanded.
        return Value(tuple(outputs.shape), data=torch.zeros((), dtype=outputs.dtype).expand(outputs.shape))
    random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    changes = schema is not None and schema.is_mutable and schema.name != "aten::detach_"
    sizes = [part.numel() for part in _pytree.tree_leaves(outputs) if isinstance(part, Tensor)]
    results: Any = None
    if known and not random and not changes and all(size <= _LARGEST for size in sizes):
        args, kwargs = _pytree.tree_map(
            lambda part: part.data if isinstance(part, Value) else part, (args, kwargs), is_leaf=_is_operand
        )
        kwargs = {name: torch.device("cpu") if name == "device" else value for name, value in kwargs.items()}
        target: Any = node.target
        try:
            results = target(*args, **kwargs)
        except Exception:  # an operator of this build that does not run here: its numbers are not known
            results = None
    if isinstance(outputs, (list, tuple)):
        given = results if isinstance(results, (list, tuple)) else [None] * len(outputs)
        return [
            Value(tuple(own.shape), data=_same_shape(number, own)) if isinstance(own, Tensor) else own
            for own, number in zip(outputs, given, strict=True)
        ]
    if isinstance(outputs, Tensor):
        return Value(tuple(outputs.shape), data=_same_shape(results, outputs))
    return outputs


def _same_shape(number: Any, like: Tensor) -> Tensor | None:
    return number if isinstance(number, Tensor) and number.shape == like.shape and not number.is_meta else None
