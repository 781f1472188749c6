"""Phases of rotary pairs: a pair of a query and that of its key are turned alike, and no score changes.

Found in the graph itself: x · cos + (−x₂, x₁) · sin of what a linear layer makes, on both sides of one product.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from torch import fx

from nfn_cli.architectures.labels import Gauge
from nfn_cli.architectures.tracing.flat_graph import operator_name
from nfn_cli.architectures.tracing.gauge_actions import pairs
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Value
from nfn_cli.architectures.tracing.watching import Watch

KIND = "phases of rotary pairs"
_SAME = ("to", "contiguous", "clone", "dropout", "_to_copy", "detach", "float", "type_as")
_REORDERED = ("transpose", "view", "reshape", "permute", "unsqueeze", "expand", "slice", "select", "squeeze", "split",
              "chunk", "unflatten", "_unsafe_view", "split_with_sizes", "unbind")  # fmt: skip
_ALONG = ("cos", "sin", "unsqueeze", "expand", "mul", "neg", *_SAME)


@dataclass(frozen=True)
class _Rotated:
    node: fx.Node  # what comes out
    source: fx.Node  # what was turned
    angles: fx.Node  # half of them


def rotary_phases(graph: fx.Graph, values: Mapping[fx.Node, Any], trace: Trace, watch: Watch) -> list[Gauge]:
    """One for each layer's keys.

    Args:
        values: what the tracer has made of each node.
        trace: as the whole graph has left it.
        watch: its notes.
    """
    uses = watch.uses
    found = []
    rotated = {made.node: made for made in map(_rotation, graph.nodes) if made is not None}
    for node in graph.nodes:
        if _name(node) == "scaled_dot_product_attention":
            pair: Any = _args(node)[:2]
        elif _name(node) in ("matmul", "bmm", "__matmul__"):
            turned = _transposed(_args(node)[1])
            pair = (_args(node)[0], turned) if turned is not None else ()
        else:
            continue
        if not pair:
            continue
        query, key = (_back(own, rotated) for own in pair)
        if query is None or key is None or query.angles is not key.angles:
            continue
        source = _made_by(key.source, values, uses)
        if source is None or _made_by(query.source, values, uses) is None:
            continue
        count, others = _coordinates(values.get(key.source)), _coordinates(values.get(query.source))
        if count and others % count == 0:  # each query head has one key head, and each of these several
            where = source.rpartition(".")[0] or source
            action = pairs(trace, watch, _pairs(query, key, (pair[0], pair[1]), values))
            found.append(Gauge(KIND, where, count // 2, action))
    return found


def _pairs(
    query: _Rotated, key: _Rotated, operands: tuple[Any, Any], values: Mapping[fx.Node, Any]
) -> list[tuple[int, int, int, bool]]:
    """Labels of the coordinates of each pair, the number of its space, and whether it is a key's; none where it is
    not clear which of the product's entries is which."""
    ours, theirs = _halves_of(query, values), _halves_of(key, values)
    factors = [values[own].factor_on(len(values[own].shape) - 1) for own in operands]
    if None in factors or len(values[operands[0]].shape) != len(values[operands[1]].shape):
        return []
    try:
        entries = [own.reshape(-1).tolist() for own in np.broadcast_arrays(*(factor.labels for factor in factors))]
    except ValueError:
        return []
    spaces = {own: number for number, own in enumerate(sorted(set(theirs.values())))}
    found: dict[tuple[int, int, int, bool], None] = {}
    for one, other in zip(*entries, strict=True):
        if (one in ours) != (other in theirs):
            return []
        if one in ours:
            space = spaces[theirs[other]]
            for pair, is_key in ((ours[one], False), (theirs[other], True)):
                found[pair[0], pair[1], space, is_key] = None
    return list(found)


def _halves_of(rotated: _Rotated, values: Mapping[fx.Node, Any]) -> dict[int, tuple[int, int]]:
    """For each label of what comes out, the labels of the pair that it is made of."""
    out, source = (values[own].factor_on(len(values[own].shape) - 1) for own in (rotated.node, rotated.source))
    if out is None or source is None or out.labels.shape != source.labels.shape:
        return {}
    half = source.labels.shape[-1] // 2
    first = source.labels[..., :half].reshape(-1).tolist()
    second = source.labels[..., half:].reshape(-1).tolist()
    found: dict[int, tuple[int, int]] = {}
    for labels in (out.labels[..., :half], out.labels[..., half:]):
        for own, *pair in zip(labels.reshape(-1).tolist(), first, second, strict=True):
            if found.setdefault(own, (pair[0], pair[1])) != (pair[0], pair[1]):
                return {}
    return found


def _args(node: Any) -> Any:
    """A node's arguments; the operator's name gives their kinds."""
    return node.args


def _name(node: Any) -> str:
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return ""
    return operator_name(node).split(".")[1] if operator_name(node).startswith("aten.") else operator_name(node)


def _rotation(node: fx.Node) -> _Rotated | None:
    """x · cos + (−x₂, x₁) · sin, with angles of equal halves."""
    if _name(node) != "add" or len(_args(node)) != 2 or node.kwargs:
        return None
    parts = [own for own in _args(node) if _name(own) == "mul" and isinstance(own, fx.Node)]
    if len(parts) != 2:
        return None
    for plain, other in (parts, parts[::-1]):
        for x, cosine in (_args(plain), _args(plain)[::-1]):
            for half, sine in (_args(other), _args(other)[::-1]):
                if isinstance(x, fx.Node) and _is_turned(half, x) and len(_readers(x)) == 3:
                    angles = _halves(cosine, "cos"), _halves(sine, "sin")
                    if angles[0] is not None and angles[0] is angles[1]:
                        return _Rotated(node, x, angles[0])
    return None


def _is_turned(node: Any, x: fx.Node) -> bool:
    """Whether a node is (−x₂, x₁) along the last axis."""
    if (
        _name(node) != "cat"
        or len(_args(node)[0]) != 2
        or not _is_last(_args(node)[1] if len(_args(node)) > 1 else 0, x)
    ):
        return False
    negative, first = _args(node)[0]
    if _name(negative) != "neg":
        return False
    size = x.meta["val"].shape[-1]
    return _is_slice(_args(negative)[0], x, size // 2, size) and _is_slice(first, x, 0, size // 2)


def _is_slice(node: Any, x: fx.Node, start: int, stop: int) -> bool:
    if _name(node) != "slice" or _args(node)[0] is not x or not _is_last(_args(node)[1], x):
        return False
    size = x.meta["val"].shape[-1]
    begin = _args(node)[2] if len(_args(node)) > 2 else 0
    end = _args(node)[3] if len(_args(node)) > 3 else size
    return begin == start and min(end, size) == stop and len(_args(node)) < 5


def _is_last(axis: Any, x: fx.Node) -> bool:
    rank = x.meta["val"].dim()
    return isinstance(axis, int) and axis % rank == rank - 1


def _halves(node: Any, function: str) -> fx.Node | None:
    """What both halves of an array of cosines or sines are made of; None where they are not equal."""
    seen = 0
    while isinstance(node, fx.Node):
        name = _name(node)
        if name == "cat":
            parts = _args(node)[0]
            equal = (
                len(parts) == 2
                and parts[0] is parts[1]
                and _is_last(_args(node)[1] if len(_args(node)) > 1 else 0, parts[0])
            )
            return parts[0] if equal and seen == 1 else None
        if name not in _ALONG or any(isinstance(own, fx.Node) for own in _args(node)[1:]):
            return None
        if name in ("cos", "sin"):
            if name != function:
                return None
            seen += 1
        first = _args(node)[0]
        if name in ("unsqueeze", "expand") and (
            not isinstance(first, fx.Node) or first.meta["val"].shape[-1] != node.meta["val"].shape[-1]
        ):
            return None
        node = first
    return None


def _transposed(node: Any) -> fx.Node | None:
    """What a node is the transposed matrix of."""
    if _name(node) != "transpose":
        return None
    rank = node.meta["val"].dim()
    return _args(node)[0] if {int(own) % rank for own in _args(node)[1:]} == {rank - 2, rank - 1} else None


def _back(node: Any, rotated: Mapping[fx.Node, _Rotated]) -> _Rotated | None:
    """The rotation that a product reads, behind movement that keeps the last axis, and nothing else reads it."""
    while isinstance(node, fx.Node) and len(_readers(node)) == 1:
        if node in rotated:
            return rotated[node]
        name = _name(node)
        first = _args(node)[0] if _args(node) else None
        if name == "cat" and _is_last(_args(node)[1] if len(_args(node)) > 1 else 0, node):
            # Behind the pairs stand coordinates that are not turned.
            first = _args(node)[0][0]
        elif name == "mul":
            if any(isinstance(own, fx.Node) for own in _args(node)[1:]):
                return None
        elif name in ("transpose", "unsqueeze", "expand", "view", "reshape", "permute", "slice"):
            if not isinstance(first, fx.Node) or first.meta["val"].shape[-1] != node.meta["val"].shape[-1]:
                return None
            if name in ("transpose", "permute") and not _keeps_last(node):
                return None
        elif name not in _SAME:
            return None
        node = first
    return None


def _keeps_last(node: fx.Node) -> bool:
    rank = node.meta["val"].dim()
    if _name(node) == "permute":
        axes: Any = _args(node)[1]
        return int(axes[-1]) % rank == rank - 1
    return rank - 1 not in {int(own) % rank for own in _args(node)[1:]}


def _made_by(node: Any, values: Mapping[fx.Node, Any], uses: Mapping[str, int]) -> str | None:
    """The weight of the linear layer that makes a value, behind movement alone; None where it has other uses."""
    first = node
    while isinstance(node, fx.Node):
        name = _name(node)
        if node is not first and not _read_apart(node):
            return None
        if name in ("linear", "addmm", "matmul", "mm"):
            operands = [values.get(own) for own in _args(node) if isinstance(own, fx.Node)]
            held = [own for own in operands if isinstance(own, Parameter)]
            if not held or any(uses.get(own.name) != 1 or own.stored for own in held):
                return None
            return max(held, key=lambda own: len(own.shape)).name
        if name not in _REORDERED and name not in _SAME and node.target is not operator.getitem:
            return None
        node = _args(node)[0]
    return None


def _readers(node: fx.Node) -> list[fx.Node]:
    """Who reads a node's numbers; assertions about its dtype do not."""
    return [own for own in node.users if not _name(own).startswith("_assert")]


def _read_apart(node: fx.Node) -> bool:
    """Whether no two read the same numbers of a node, as far as slices show."""
    readers = _readers(node)
    if len(readers) == 1:
        return True
    if all(own.target is operator.getitem for own in readers):
        return len({_args(own)[1] for own in readers}) == len(readers)
    spans: list[tuple[int, int]] = []
    for own in readers:
        if _name(own) != "slice" or len(_args(own)) > 4 or _args(own)[1] != readers[0].args[1]:
            return False
        start = _args(own)[2] if len(_args(own)) > 2 else 0
        stop = _args(own)[3] if len(_args(own)) > 3 else 1 << 62
        if not all(isinstance(end, int) and end >= 0 for end in (start, stop)):
            return False
        spans.append((start, stop))
    return all(before[1] <= after[0] for before, after in pairwise(sorted(spans)))


def _coordinates(value: Any) -> int:
    """How many different rows of a weight make a value."""
    if not isinstance(value, Value):
        return 0
    factor = value.factor_on(len(value.shape) - 1)
    return 0 if factor is None or factor.slots is not None else len(np.unique(factor.labels))
