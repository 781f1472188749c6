"""A traced graph without graphs inside it, and what it changes in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import fx, nn

# They run a graph as it is: without gradients, or with roundings, which are nothing to what it computes.
_WRAPPERS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def flattened(module: fx.GraphModule) -> fx.Graph:
    """The graph of a module, with the graphs that `no_grad` and `autocast` blocks are traced as in their place.

    Other graphs within it (conditions, loops) stay, as `get_attr` nodes and operators that take them.
    """
    graph = fx.Graph()
    result = _copied(module, graph, {})
    graph.output(result)
    old = next(node for node in module.graph.nodes if node.op == "output")
    new = next(node for node in graph.nodes if node.op == "output")
    new.meta = dict(old.meta)
    _without_unused_graphs(graph)
    return graph


def operator_name(node: fx.Node) -> str:
    """Such as `aten.topk` or `getitem`."""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return str(schema.name).replace("::", ".")
    return str(getattr(node.target, "__name__", node.target))


def changed_placeholders(graph: fx.Graph) -> set[str]:
    """Names of the placeholders whose numbers an operator of the graph may change in place, themselves or by a view."""
    origins: dict[fx.Node, set[str]] = {}
    changed: set[str] = set()
    for node in graph.nodes:
        if node.op == "placeholder":
            origins[node] = {node.name}
            continue
        schema = getattr(node.target, "_schema", None)
        arguments = list(_arguments(node, schema))
        if schema is None:  # `getitem`, and what is not known
            origins[node] = set().union(*(origins.get(part, set()) for part, _ in arguments))
            continue
        aliased = [(part, alias) for part, alias in arguments if alias is not None]
        origins[node] = set().union(*(origins.get(part, set()) for part, _ in aliased))
        for part, alias in aliased:
            if alias.is_write and operator_name(node) != "aten.detach_":
                changed |= origins.get(part, set())
    return changed


def _arguments(node: fx.Node, schema: Any) -> Iterator[tuple[fx.Node, Any]]:
    """The nodes that an operator takes, and what its schema says of views of each."""
    declared = [] if schema is None else list(schema.arguments)
    by_name = {argument.name: argument for argument in declared}
    given = [(declared[place] if place < len(declared) else None, value) for place, value in enumerate(node.args)]
    given += [(by_name.get(name), value) for name, value in node.kwargs.items()]
    for argument, value in given:
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, fx.Node):
                yield part, None if argument is None else argument.alias_info


def _copied(module: fx.GraphModule, graph: fx.Graph, known: dict[fx.Node, Any]) -> Any:
    """Append the nodes of a module's graph but the output; what goes there.

    Args:
        known: what stands for some of its nodes, the placeholders of an inner graph.
    """

    def value_of(part: fx.Node) -> Any:
        return known[part]

    for node in module.graph.nodes:
        if node in known:
            continue
        if node.op == "output":
            return fx.map_arg(node.args[0], value_of)
        inner, operands = _wrapped(module, node)
        if inner is not None:
            places = [part for part in inner.graph.nodes if part.op == "placeholder"]
            within = dict(zip(places, fx.map_arg(operands, value_of), strict=True))
            known[node] = _copied(inner, graph, within)
        elif getattr(node.target, "__name__", "") == "getitem" and not isinstance(known[node.args[0]], fx.Node):
            known[node] = known[node.args[0]][node.args[1]]
        else:
            known[node] = graph.node_copy(node, value_of)
    raise ValueError("a graph without an output")


def _wrapped(module: fx.GraphModule, node: fx.Node) -> tuple[fx.GraphModule | None, tuple[Any, ...]]:
    """The graph that a node runs as it is, and what it is run on."""
    if node.op != "call_function" or getattr(node.target, "__name__", "") not in _WRAPPERS:
        return None, ()
    for place, part in enumerate(node.args):
        if isinstance(part, fx.Node) and part.op == "get_attr":
            inner: nn.Module = module.get_submodule(str(part.target))
            if isinstance(inner, fx.GraphModule):
                return inner, tuple(node.args[place + 1 :])
    return None, ()


def _without_unused_graphs(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)
