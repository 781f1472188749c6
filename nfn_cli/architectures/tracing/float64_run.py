"""A traced graph, run in float64 whatever precision it was traced in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx

from nfn_cli.architectures.tracing.flat_graph import operator_name
from nfn_cli.architectures.tracing.outputs import is_real

_UNNEEDED = ("aten._assert_tensor_metadata", "_assert_tensor_metadata")


def run_in_float64(
    module: fx.GraphModule,
    graph: fx.Graph,
    outputs: Sequence[fx.Node],
    values: Sequence[Any],
    changed: Collection[str] = (),
) -> list[Tensor]:
    """The floating tensors among what a graph computes.

    Args:
        module: whose attributes the graph's `get_attr` nodes name.
        outputs: nodes whose values are asked for.
        values: of the placeholders, in their order; tensors of any dtype.
        changed: names of placeholders that the graph changes in place: it gets copies of them.

    Raises:
        ValueError: an operator cannot be run.
    """
    places = [node for node in graph.nodes if node.op == "placeholder"]
    given = [_exact(value, copy=node.name in changed) for node, value in zip(places, values, strict=True)]
    interpreter = _Exact(module, graph, outputs)
    with torch.no_grad(), _default_float64():
        interpreter.run(*given)
    return [value for value in interpreter.found if isinstance(value, Tensor) and is_real(value)]


class _Exact(fx.Interpreter):
    """Runs operators with float64 in place of each floating dtype that they name."""

    def __init__(self, module: fx.GraphModule, graph: fx.Graph, asked: Sequence[fx.Node]) -> None:
        super().__init__(module, graph=graph)
        self._asked = asked
        self.found: list[Any] = []

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "output":
            self.found = [self.env[node] for node in self._asked]
            return None
        if n.op == "call_function":
            if operator_name(n) in _UNNEEDED:
                return None
            if _takes_a_graph(n):
                raise ValueError(f"{operator_name(n)} cannot be run in float64")
        try:
            return super().run_node(n)
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            cause = str(error).strip().splitlines()[:1]
            raise ValueError(f"{operator_name(n)} fails ({''.join(cause)})") from error

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return super().call_function(target, _widened(args), _widened(kwargs))


def _takes_a_graph(node: fx.Node) -> bool:
    return any(part.op == "get_attr" for part in node.all_input_nodes) and not hasattr(node.target, "_schema")


def _widened(tree: Any) -> Any:
    if isinstance(tree, torch.dtype):
        return torch.complex128 if tree.is_complex else torch.float64 if tree.is_floating_point else tree
    if isinstance(tree, dict):
        return {name: _widened(part) for name, part in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(map(_widened, tree))
    return tree


def _exact(value: Any, *, copy: bool) -> Any:
    if not isinstance(value, Tensor):
        return value
    dtype = torch.complex128 if value.is_complex() else torch.float64 if value.is_floating_point() else value.dtype
    return value.detach().to(dtype, copy=copy)


@contextmanager
def _default_float64() -> Iterator[None]:
    """Operators that make numbers of no named dtype make them of the default one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
