"""Which values of a graph share memory, and which are out of date once one of them is changed in place.

A value that is changed in place goes on as the operator's result; a reader of an older view of the same memory would
read what is no longer there.
"""

from __future__ import annotations

from torch import Tensor, fx

from nfn_cli.architectures.tracing.flat_graph import operator_name

# In evaluation they give back what they get, which no value of a trace shows.
_SAME = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


class Aliases:
    """The nodes of a graph by the memory that their values lie in."""

    def __init__(self) -> None:
        self._nodes: dict[int, list[fx.Node]] = {}
        self._memories: dict[fx.Node, set[int]] = {}

    def changed_by(self, node: fx.Node) -> list[fx.Node]:
        """Earlier nodes whose values are out of date behind an operator; itself is entered."""
        stale: list[fx.Node] = []
        schema = getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable and operator_name(node) != "aten.detach_":
            names = [argument.name for argument in schema.arguments]
            given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
            for argument in schema.arguments:
                if argument.alias_info is not None and argument.alias_info.is_write:
                    stale += [older for part in _parts(given.get(argument.name)) for older in self._sharing(part)]
        self.enter(node)
        return stale

    def enter(self, node: fx.Node) -> None:
        """Takes note of where a node's value lies."""
        memories = _memories(node)
        if operator_name(node).rpartition(".")[2] in _SAME:
            memories |= {memory for part in _parts(node.args[0]) for memory in self._own(part)}
        self._memories[node] = memories
        for memory in memories:
            self._nodes.setdefault(memory, []).append(node)

    def _sharing(self, node: fx.Node) -> list[fx.Node]:
        return [other for memory in self._own(node) for other in self._nodes.get(memory, [])]

    def _own(self, node: fx.Node) -> set[int]:
        return self._memories.get(node, set())


def _parts(value: object) -> list[fx.Node]:
    several = value if isinstance(value, (list, tuple)) else [value]
    return [part for part in several if isinstance(part, fx.Node)]


def _memories(node: fx.Node) -> set[int]:
    value = node.meta.get("val")
    several = value if isinstance(value, (list, tuple)) else [value]
    return {part.untyped_storage()._cdata for part in several if isinstance(part, Tensor)}
